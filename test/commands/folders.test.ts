import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { openParts } from '../../src/parts.ts';
import { ConfigError, readConfig } from '../../src/settings/config.ts';
import { filesBelow, freshFolder } from '../files.ts';
import { type Ended, playhead } from './playhead.ts';

const skip = existsSync('/proc/self') ? false : 'there is no /proc';

/** Runs `playhead serve`, which ends by itself or is killed. */
function serve(...flags: string[]): Promise<Ended> {
  const env = { PATH: process.env.PATH };
  const options = { env, timeout: 60_000, killSignal: 'SIGKILL' } as const;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      ['src/cli.ts', 'serve', '--port', '0', ...flags],
      options,
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
    );
  });
}

t.test('a folder that cannot be made or written ends the start with a sentence', { skip }, async (t) => {
  const folder = await freshFolder(t);
  const file = join(folder, 'file');
  await writeFile(file, '');
  const blocked = join(folder, 'blocked');
  await mkdir(blocked);
  await writeFile(join(blocked, 'blocks'), '');
  const dataDir = join(folder, 'data');
  // Nobody can create anything in /proc, not even root.
  const table: [flags: string[], variable: string, trouble: RegExp][] = [
    [['--data-dir', '/proc/nope'], 'PLAYHEAD_DATA_DIR', /cannot be created/],
    [['--data-dir', '/proc/nope/deeper'], 'PLAYHEAD_DATA_DIR', /cannot be created/],
    [['--data-dir', '/proc'], 'PLAYHEAD_DATA_DIR', /cannot be written/],
    [['--data-dir', file], 'PLAYHEAD_DATA_DIR', /cannot be created/],
    [['--data-dir', join(file, 'below')], 'PLAYHEAD_DATA_DIR', /cannot be created/],
    [['--database-url', 'sqlite:/proc/nope/a.db'], 'PLAYHEAD_DATABASE_URL', /cannot be created/],
    [['--database-url', 'sqlite:/proc/a.db'], 'PLAYHEAD_DATABASE_URL', /cannot be written/],
    [['--store', 'file:/proc/nope'], 'PLAYHEAD_STORE', /cannot be created/],
    [['--store', 'file:/proc'], 'PLAYHEAD_STORE', /cannot be written/],
    [['--store', `file:${file}`], 'PLAYHEAD_STORE', /cannot be created/],
    [['--data-dir', blocked, '--cache-disk', '64MB'], 'PLAYHEAD_CACHE_DISK', /cannot be created/],
  ];
  for (const [given, variable, trouble] of table) {
    const names = given.filter((_, index) => index % 2 === 0).map((flag) => flag.slice(2));
    const flags = Object.fromEntries(names.map((name, index) => [name, given[2 * index + 1]!]));
    const message = await openParts(readConfig({ 'data-dir': dataDir, ...flags }, {})).then(
      () => 'no error',
      (error: Error) => (error instanceof ConfigError ? error.message : String(error)),
    );
    t.match(message, new RegExp(`^${variable} .*\\.$`), given.join(' '));
    t.match(message, trouble);
  }
  for (const more of [[], ['--workers', '2']]) {
    const { code, stderr } = await serve('--data-dir', '/proc/nope', ...more);
    t.equal(code, 64);
    t.match(stderr, /^PLAYHEAD_DATA_DIR .* cannot be created: .*\.\n$/);
  }
  t.same(await filesBelow(dataDir), [], 'no key and no database was made');
  t.same(await filesBelow(blocked), ['blocks']);
});

t.test('a backup into a folder that cannot be made ends', { skip }, async (t) => {
  const { code, stderr } = await playhead(await freshFolder(t), 'backup', '--to', '/proc/nope');
  t.equal(code, 1);
  t.match(stderr, /ENOENT.*\/proc\/nope/);
});
