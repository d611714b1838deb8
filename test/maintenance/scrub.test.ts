import { rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { scrub } from '../../src/maintenance/scrub.ts';
import { startGateway } from '../gateway.ts';

const file = 'inbound-caller1.flac';

async function start(t: Parameters<typeof startGateway>[0], ids: string[]) {
  const gateway = await startGateway(t);
  const { db, catalog, recordedAudio } = gateway.parts;
  const paths: Record<string, string> = {};
  for (const externalId of ids) {
    await gateway.ingest(file, { externalId });
    const { key } = (await catalog.read('acct', externalId))!;
    paths[externalId] = join(gateway.dataDir, 'recordings', key!);
  }
  const errors: object[] = [];
  const verified: string[] = [];
  const counting = {
    record: recordedAudio.record.bind(recordedAudio),
    verify(...args: Parameters<typeof recordedAudio.verify>) {
      verified.push(args[0].externalId);
      return recordedAudio.verify(...args);
    },
  };
  const log = { error: (details: object) => void errors.push(details) };
  const task = scrub({ db, recordedAudio: counting, bytesPerSecond: 1e9, log });
  /** Moves the last verification of these recordings into the past. */
  const makeDue = (verifiedAt: Record<string, number>) =>
    Promise.all(
      Object.entries(verifiedAt).map(([id, at]) =>
        db.kysely.updateTable('recordings').set({ verified_at: at }).where('external_id', '=', id).execute(),
      ),
    );
  return { gateway, catalog, task, paths, errors, verified, makeDue };
}

t.test('each recording is verified once a week, the one that waits longest first', async (t) => {
  const { task, verified, makeDue, errors } = await start(t, ['a', 'b', 'c']);
  await task.run(async () => true);
  t.same(verified, [], 'an ingest has just read them');
  await makeDue({ b: 1, c: 2 });
  await task.run(async () => true);
  t.same(verified, ['b', 'c']);
  await task.run(async () => true);
  t.same(verified, ['b', 'c']);
  t.same(errors, []);
});

t.test('what is damaged or missing is logged and not played, and a copy is pinned', async (t) => {
  const { gateway, catalog, task, paths, errors, verified, makeDue } = await start(t, [
    'copied',
    'damaged',
    'missing',
  ]);
  await utimes(paths.copied!, 1, 1);
  await writeFile(paths.damaged!, 'other bytes');
  await rm(paths.missing!);
  await makeDue({ copied: 1, damaged: 2, missing: 3 });
  await task.run(async () => true);
  t.same(verified, ['copied', 'damaged', 'missing'], 'each once, though the missing one stays due');
  t.same(errors, [
    { accountId: 'acct', externalId: 'damaged', state: 'damaged' },
    { accountId: 'acct', externalId: 'missing', state: 'missing' },
  ]);
  const { originEtag } = (await catalog.read('acct', 'copied'))!;
  t.equal(
    originEtag,
    (await gateway.parts.wholeAudio.stat((await catalog.read('acct', 'copied'))!.key!)).etag,
  );
  t.ok((await catalog.read('acct', 'damaged'))!.damagedAt);
});

t.test('a process that stops does not begin with another recording', async (t) => {
  const { task, verified, makeDue } = await start(t, ['a', 'b']);
  await makeDue({ a: 1, b: 2 });
  await task.run(async () => verified.length === 0);
  t.same(verified, ['a']);
});

t.test('a process that stops does not read a recording to its end, however slow it reads', async (t) => {
  const { catalog, gateway, makeDue } = await start(t, ['a']);
  await makeDue({ a: 1 });
  const { db, recordedAudio, log } = gateway.parts;
  const task = scrub({ db, recordedAudio, bytesPerSecond: 1, log });
  let looks = 0;
  await task.run(async () => ++looks < 4);
  t.equal(looks, 4, 'asked again and again while it waits');
  t.match(await catalog.read('acct', 'a'), { damagedAt: null });
  const row = await db.kysely.selectFrom('recordings').select('verified_at').executeTakeFirstOrThrow();
  t.equal(Number(row.verified_at), 1, 'still due');
});

t.test(
  'many recordings without audio, and some that cannot be read, keep no other one waiting',
  async (t) => {
    const { gateway, task, verified, errors, makeDue } = await start(t, ['last']);
    const { kysely } = gateway.parts.db;
    const row = await kysely.selectFrom('recordings').selectAll().executeTakeFirstOrThrow();
    await makeDue({ last: 5 });
    for (let count = 0; count < 120; count++) {
      const key = count % 2 === 0 ? `no/such-${count}` : '..'; // the second is no key that can be read
      const ids = { id: `0-${count}`, external_id: `lost-${count}`, key };
      await kysely
        .insertInto('recordings')
        .values({ ...row, ...ids, verified_at: 1 })
        .execute();
    }
    await task.run(async () => true);
    t.equal(verified.length, 121);
    t.equal(verified.at(-1), 'last');
    t.equal(errors.length, 120);
  },
);
