import { execFile } from 'node:child_process';
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { fixtures } from '../gateway.ts';

const cli = new URL('../../src/cli.ts', import.meta.url).pathname;

/** Lists in a file what the process has loaded. */
const recorder = `
  import { registerHooks } from 'node:module';
  import { writeFileSync } from 'node:fs';
  const urls = [];
  registerHooks({
    load(url, context, next) {
      urls.push(url);
      return next(url, context);
    },
  });
  process.on('exit', () => writeFileSync(process.env.RECORD, urls.join('\\n')));
`;

/** The packages that `playhead check` loads, and its exit code. */
async function check(t: Test, ...words: string[]) {
  const record = join(t.testdirName, 'loaded');
  const args = ['--import', `data:text/javascript,${encodeURIComponent(recorder)}`, cli, 'check', ...words];
  const env = { PATH: process.env.PATH, RECORD: record };
  const code = await new Promise((resolve) =>
    execFile(process.execPath, args, { env }, (error) => resolve(error?.code ?? 0)),
  );
  const urls = (await readFile(record, 'utf8')).split('\n');
  const names = urls.map((url) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]);
  return { code, modules: urls.length, packages: new Set(names.filter((name) => name !== undefined)) };
}

t.test('a folder on a disk is checked without an SDK or a client for HTTP', async (t) => {
  const folder = join(t.testdir({ in: {} }), 'in');
  await copyFile(join(fixtures, 'tag-caller1.wav'), join(folder, 'call.wav'));
  const { code, modules, packages } = await check(t, folder);
  t.equal(code, 0);
  t.ok(modules > 10, `${modules} modules were counted`);
  t.same(
    [...packages].filter((name) => /^(@aws-sdk\/|@smithy\/|undici$|prom-client$)/.test(name)),
    [],
  );
});

t.test('a URL is checked with them', async (t) => {
  t.testdir({});
  const { code, packages } = await check(t, 'https://user:secret@vendor.example/call.wav');
  t.equal(code, 1, 'credentials in a URL are not allowed');
  for (const name of ['@aws-sdk/client-s3', 'undici']) t.ok(packages.has(name), name);
});
