import { createHash } from 'node:crypto';
import { readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { backup } from '../../src/maintenance/backup.ts';
import type { Manifest } from '../../src/maintenance/backup-folder.ts';
import type { Origin } from '../../src/origins/origin.ts';
import { filesBelow, freshFolder } from '../files.ts';
import { longRecording, markedRecording, startGateway } from '../gateway.ts';
import { until } from '../until.ts';
import { bodyOf, kinds, restored, run, urlOf } from './site.ts';

const short = await longRecording(1);
const audioOf = (mark: string) => markedRecording(short, 300_000, mark);

/** An origin that runs `before` ahead of its first read of a recording. */
function interrupted(origin: Origin, before: () => Promise<void>): Origin {
  let ran: Promise<void> | undefined;
  return {
    stat: (...input) => origin.stat(...input),
    async read(...input) {
      ran ??= before();
      await ran;
      return origin.read(...input);
    },
  };
}

t.test('what is replaced or erased between the copies of database and audio', async (t) => {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  const folder = await freshFolder(t);
  for (const id of ['kept', 'replaced', 'erased', 'replaced and erased', 'erased and sent again'])
    t.ok((await gateway.ingest(audioOf(id), { externalId: id, call: { title: `secret of ${id}` } })).ok);

  const { db, wholeAudio, storedAudio } = gateway.parts;
  const replace = (id: string) => gateway.ingest(audioOf(`new ${id}`), { externalId: id, replace: true });
  const erase = async (id: string) => {
    const path = `/recordings/acct/${encodeURIComponent(id)}`;
    t.equal((await gateway.v1(path, { method: 'DELETE' })).status, 204);
  };
  const audio = interrupted(wholeAudio, async () => {
    t.ok((await replace('replaced')).ok);
    t.ok((await replace('replaced and erased')).ok);
    for (const id of ['erased', 'replaced and erased', 'erased and sent again']) await erase(id);
    t.ok((await gateway.ingest(audioOf('again'), { externalId: 'erased and sent again' })).ok);
    await storedAudio.removeExpired();
    const names = await filesBelow(join(settings['data-dir'], 'recordings'));
    t.equal(names.length, 4, 'erased audio is gone at once, replaced audio is not');
  });
  const summary = await backup({ db, audio, to: folder, verify: false, onProgress() {} });
  t.match(summary, { recordings: 2, erased: 3, lost: 0 });
  await storedAudio.removeExpired();
  t.equal(
    (await filesBelow(join(settings['data-dir'], 'recordings'))).length,
    3,
    'it was kept for the backup only',
  );

  const files = await filesBelow(folder);
  t.equal(files.length, 4, 'two recordings, the database and the manifest');
  const database = await readFile(join(folder, summary.database.file));
  for (const id of ['erased', 'replaced and erased', 'erased and sent again'])
    t.notOk(database.includes(`secret of ${id}`), `no byte of the backup has the call that was ${id}`);

  const place = await restored(t, kinds.onFolder, settings, folder);
  t.ok(
    (await bodyOf(await urlOf(place.gateway, 'replaced'))).equals(audioOf('replaced')),
    'whole, as it was',
  );
  t.ok((await bodyOf(await urlOf(place.gateway, 'kept'))).equals(audioOf('kept')));
  for (const id of ['erased', 'replaced and erased', 'erased and sent again'])
    await t.rejects(urlOf(place.gateway, id), { message: /^404/ }, id);
});

t.test('backups under load are whole', async (t) => {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  const folder = await freshFolder(t);
  const ids = Array.from({ length: 6 }, (_, index) => `call ${index}`);
  let isDone = false;
  const counts = { replaced: 0, erased: 0 };
  const load = ids.map(async (externalId, index) => {
    for (let turn = 0; !isDone; turn++) {
      const sent = await gateway.ingest(audioOf(`${externalId} ${turn}`), { externalId, replace: true });
      if (!sent.ok) throw new Error(`${sent.status} ${await sent.text()}`);
      if (sent.status === 200) counts.replaced++;
      if ((turn + index) % 3 !== 0) continue;
      await gateway.v1(`/recordings/acct/${encodeURIComponent(externalId)}`, { method: 'DELETE' });
      counts.erased++;
    }
  });
  gateway.parts.background.start();
  for (let round = 0; round < 3; round++) {
    const { code, stdout, stderr } = await run(settings, 'backup', '--to', folder, '--json');
    t.equal(code, 0, stderr || stdout);
    const { gateway: second } = await restored(t, kinds.onFolder, settings, folder);
    const { recordings } = await second.parts.catalog.list({ limit: 100 });
    t.equal(recordings.length, JSON.parse(stdout).recordings);
    for (const { externalId, sha256 } of recordings) {
      const body = await bodyOf(await urlOf(second, externalId));
      t.equal(createHash('sha256').update(body).digest('hex'), sha256, externalId);
    }
  }
  await until(() => counts.replaced > 0 && counts.erased > 0);
  isDone = true;
  await Promise.all(load);
});

t.test('a backup says what is lost and damaged, and has all else', async (t) => {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  const folder = await freshFolder(t);
  for (const id of ['whole', 'lost', 'damaged', 'touched'])
    t.ok((await gateway.ingest(audioOf(id), { externalId: id })).ok);
  const pathOf = async (id: string) => {
    const { key } = (await gateway.parts.catalog.read('acct', id))!;
    return join(settings['data-dir'], 'recordings', key!);
  };
  await rm(await pathOf('lost'));
  const bytes = await readFile(await pathOf('damaged'));
  bytes[200_000]! ^= 1;
  await writeFile(await pathOf('damaged'), bytes);
  await writeFile(await pathOf('touched'), await readFile(await pathOf('touched')));

  const { code, stdout } = await run(settings, 'backup', '--to', folder);
  t.equal(code, 1);
  t.match(stdout, /2 recordings/);
  t.match(stdout, /acct\/lost is in it without its audio/);
  t.match(stdout, /acct\/damaged is in it without its audio: .* changed since it was checked/);

  const target = await kinds.onFolder.fresh(t);
  const there = await run(target, 'restore', '--from', folder);
  t.match(there, { code: 1, stdout: /acct\/lost has no audio in the backup/ });
  t.match(there.stdout, /Put the secret key of the old gateway into \S+secret-key/);
});

t.test('backup --verify replaces audio of an earlier backup that is damaged', async (t) => {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  const { db, wholeAudio: audio, catalog } = gateway.parts;
  t.ok((await gateway.ingest(audioOf('a'), { externalId: 'a' })).ok);
  const to = await freshFolder(t);
  // Without `folder` the audio is copied. A link would share its damage with the store.
  const options = { db, audio, to, onProgress() {} };
  await backup({ ...options, verify: false });
  const path = join(to, 'recordings', (await catalog.read('acct', 'a'))!.key!);
  const bytes = await readFile(path);
  bytes[100_000]! ^= 1;
  await writeFile(path, bytes);
  t.match(await backup({ ...options, verify: false }), { added: { recordings: 0 } });
  t.match(await backup({ ...options, verify: true }), { added: { recordings: 1 } });
  t.ok((await readFile(path)).equals(audioOf('a')));
  await truncate(path, 1_000);
  t.match(
    await backup({ ...options, verify: false }),
    { added: { recordings: 1 } },
    'a short file is seen at once',
  );
});

t.test('on one file system audio is linked, not copied', async (t) => {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  t.ok((await gateway.ingest(audioOf('a'), { externalId: 'a' })).ok);
  const to = join(settings['data-dir'], 'backup');
  t.equal((await run(settings, 'backup', '--to', to)).code, 0);
  const { key } = (await gateway.parts.catalog.read('acct', 'a'))!;
  t.equal((await stat(join(to, 'recordings', key!))).nlink, 2);
  await gateway.v1('/recordings/acct/a', { method: 'DELETE' });
  t.equal((await stat(join(to, 'recordings', key!))).nlink, 1, 'an erasure leaves the backup alone');
  t.equal((await run(settings, 'backup', '--to', to)).code, 0);
  t.same(await filesBelow(join(to, 'recordings')), [], 'until the next backup into the folder');
});

t.test('backup and restore say what is wrong, and change nothing', async (t) => {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  t.ok((await gateway.ingest(audioOf('a'), { externalId: 'a' })).ok);
  const folder = await freshFolder(t);
  t.match(await run(settings, 'backup'), { code: 64, stderr: /--to is missing/ });
  t.equal((await run(settings, 'backup', '--to', folder)).code, 0);

  await writeFile(join(folder, 'holiday.jpg'), '');
  t.match(await run(settings, 'backup', '--to', folder), {
    code: 1,
    stderr: /has files of something else, such as holiday.jpg/,
  });
  await rm(join(folder, 'holiday.jpg'));

  const other = await kinds.onFolder.fresh(t);
  await startGateway(t, other);
  t.match(await run(other, 'backup', '--to', folder), { code: 1, stderr: /the backup of another database/ });
  t.match(await run(other, 'restore', '--from', folder), { code: 1, stderr: /The database is not empty/ });
  t.match(await run(await kinds.onFolder.fresh(t), 'backup', '--to', t.testdir()), { code: 0 });

  const empty = await kinds.onFolder.fresh(t);
  t.match(await run(empty, 'restore', '--from', t.testdir()), { code: 1, stderr: /has no backup.json/ });
  const manifest: Manifest = JSON.parse(await readFile(join(folder, 'backup.json'), 'utf8'));
  const database = join(folder, manifest.database.file);
  const bytes = await readFile(database);
  await writeFile(database, bytes.subarray(1));
  t.match(await run(empty, 'restore', '--from', folder), { code: 1, stderr: /is damaged or missing/ });
  await writeFile(database, bytes);
  await writeFile(join(folder, 'backup.json'), JSON.stringify({ ...manifest, format: 2 }));
  t.match(await run(empty, 'restore', '--from', folder), {
    code: 1,
    stderr: /use the version that wrote it/,
  });
});
