import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Problem } from '../../src/errors.ts';
import { verifyStore } from '../../src/maintenance/verify.ts';
import { playhead } from '../commands/playhead.ts';
import { startGateway } from '../gateway.ts';
import { until } from '../until.ts';

const file = 'inbound-caller1.flac';

/** A gateway with recordings of which one is intact, one copied, one damaged and one missing. */
async function damagedStore(t: Parameters<typeof startGateway>[0]) {
  const gateway = await startGateway(t);
  const urls: Record<string, string> = {};
  const paths: Record<string, string> = {};
  for (const externalId of ['intact', 'copied', 'damaged', 'missing']) {
    urls[externalId] = await gateway.streamOf(file, { externalId });
    const { key } = (await gateway.parts.catalog.read('acct', externalId))!;
    paths[externalId] = join(gateway.dataDir, 'recordings', key!);
  }
  await utimes(paths.copied!, 1, 1);
  execFileSync('cp', ['-p', paths.damaged!, `${gateway.dataDir}/times`]);
  const bytes = await readFile(paths.damaged!);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(paths.damaged!, bytes);
  execFileSync('touch', ['-r', `${gateway.dataDir}/times`, paths.damaged!]);
  await rm(paths.missing!);
  const verify = (...args: string[]) =>
    playhead(gateway.dataDir, 'verify', ...args, '--database-url', gateway.config.databaseUrl);
  return { gateway, urls, paths, verify };
}

t.test('verify names what is not intact, and changes nothing', async (t) => {
  const { gateway, urls, verify } = await damagedStore(t);
  const { code, stdout } = await verify('--json');
  t.equal(code, 1);
  const { findings, orphans, ...counts } = JSON.parse(stdout);
  t.same(orphans, []);
  t.same(counts, { intact: 1, copied: 1, damaged: 1, missing: 1, unreadable: 0 });
  t.same(findings.map(({ externalId, state }: Record<string, string>) => [externalId, state]).sort(), [
    ['copied', 'copied'],
    ['damaged', 'damaged'],
    ['missing', 'missing'],
  ]);
  t.match(await gateway.parts.catalog.read('acct', 'damaged'), { damagedAt: null });
  t.equal((await fetch(urls.damaged!)).status, 200);

  const text = (await verify()).stdout;
  t.match(text, /acct\/damaged is not what was checked: send the same recording again/);
  t.match(text, '4 recordings: 1 intact, 1 copied, 1 damaged, 1 missing, 0 unreadable.');
  t.match(text, 'verify --repair');
  t.equal((await verify('--id', 'intact')).code, 0);
  t.equal((await verify('--account', 'acct', '--id', 'damaged')).code, 1);
});

t.test('verify --repair pins copies and marks what is damaged, and takes the mark away again', async (t) => {
  const { gateway, urls, paths, verify } = await damagedStore(t);
  const right = await readFile(paths.intact!);
  t.equal((await verify('--repair')).code, 1);
  const denied = await until(async () => {
    const response = await fetch(urls.damaged!);
    return response.status === 502 && response; // the gateway learns of it by the change feed
  });
  t.match(await denied.json(), { code: 'audio_damaged' });
  t.equal((await fetch(urls.missing!)).status, 404);
  t.equal((await fetch(urls.copied!)).status, 200);
  t.match(JSON.parse((await verify('--json', '--id', 'copied')).stdout), { intact: 1 });

  await writeFile(paths.damaged!, right);
  await writeFile(paths.missing!, right);
  t.equal((await verify('--repair')).code, 0);
  t.match(JSON.parse((await verify('--json')).stdout), { intact: 4 });
  t.match(await gateway.parts.catalog.read('acct', 'damaged'), { damagedAt: null });
});

t.test('one recording that cannot be read does not end the verification', async (t) => {
  const { gateway } = await damagedStore(t);
  const { db, recordedAudio, wholeAudio } = gateway.parts;
  const { key } = (await gateway.parts.catalog.read('acct', 'intact'))!;
  const { read } = wholeAudio;
  wholeAudio.read = async function (...args) {
    if (args[0] === key) throw new Problem('origin_failed');
    return read.apply(this, args);
  };
  const options = { db, recordedAudio, folder: undefined, repair: false, onProgress: () => {} };
  const { findings, orphans: _, ...counts } = await verifyStore(options);
  t.same(counts, { intact: 0, copied: 1, damaged: 1, missing: 1, unreadable: 1 });
  t.match(
    findings.find(({ state }) => state === 'unreadable'),
    { accountId: 'acct', externalId: 'intact', reason: /storage/ },
  );
});

t.test('verify names files that belong to no recording, and removes none', async (t) => {
  const gateway = await startGateway(t);
  await gateway.ingest(file);
  const folder = join(gateway.dataDir, 'recordings');
  const orphan = 'ab/ab000000-0000-4000-8000-000000000000';
  const pending = 'ab/ab000000-0000-4000-8000-000000000001';
  await gateway.parts.storeKeys.add(pending, 60_000);
  await mkdir(join(folder, 'ab'), { recursive: true });
  for (const name of [orphan, pending, `${pending}.part`, 'ab/notes.txt'])
    await writeFile(join(folder, name), '');
  const verify = (...args: string[]) =>
    playhead(gateway.dataDir, 'verify', ...args, '--database-url', gateway.config.databaseUrl);
  const { code, stdout } = await verify('--repair', '--json');
  t.equal(code, 0);
  t.match(JSON.parse(stdout), { intact: 1 });
  t.same(JSON.parse(stdout).orphans, [orphan]);
  t.match((await verify()).stdout, `The file ${orphan} in the store belongs to no recording.`);
  t.same(JSON.parse((await verify('--account', 'acct', '--json')).stdout).orphans, []);
});
