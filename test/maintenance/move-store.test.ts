import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  type MoveStoreProgress,
  type MoveStoreSummary,
  moveStore,
} from '../../src/maintenance/move-store.ts';
import type { StoreMove } from '../../src/origins/open.ts';
import { clock } from '../clock.ts';
import { filesBelow, freshFolder } from '../files.ts';
import { longRecording, markedRecording, startGateway } from '../gateway.ts';
import { bodyOf, freshBucket, kinds, run, type Settings } from './site.ts';

type Gateway = Awaited<ReturnType<typeof startGateway>>;

const short = await longRecording(6);
const audioOf = (mark: string, size = 300_000) => markedRecording(short, size, mark);
const skipS3 = kinds.onS3.skip;

interface Way {
  name: string;
  skip: string | false;
  /** The settings of the old store and of the new one. Both are in one data folder. */
  stores(t: Test): Promise<[before: Record<string, string>, after: Record<string, string>]>;
}

const folderIn = async (t: Test) => ({ store: `file:${await freshFolder(t)}` });
const ways: Way[] = [
  { name: 'folder to folder', skip: false, stores: async (t) => [await folderIn(t), await folderIn(t)] },
  { name: 'folder to S3', skip: skipS3, stores: async (t) => [await folderIn(t), await freshBucket(t)] },
  { name: 'S3 to S3', skip: skipS3, stores: async (t) => [await freshBucket(t), await freshBucket(t)] },
  { name: 'S3 to folder', skip: skipS3, stores: async (t) => [await freshBucket(t), await folderIn(t)] },
];

/** Moves in this process. `onKept` runs when all are moved and old audio is kept. */
function move(
  t: Test,
  gateway: Gateway,
  more: Partial<Parameters<typeof moveStore>[0]> = {},
  onKept = async () => {},
): Promise<MoveStoreSummary> {
  const putForward = clock(t);
  let isKept = false;
  const onProgress = ({ kept }: MoveStoreProgress) => {
    if (kept && !isKept) onKept().then(() => putForward(300_001));
    isKept ||= Boolean(kept);
  };
  return moveStore({ ...gateway.parts, move: gateway.parts.storeMove!, onProgress, ...more });
}

for (const { name, skip, stores } of ways) {
  t.test(`recordings are moved while they are played: ${name}`, { skip }, async (t) => {
    const [before, after] = await stores(t);
    const settings: Settings = { 'data-dir': await freshFolder(t) };
    const first = await startGateway(t, { ...settings, ...before });
    const urls = new Map<string, { url: string; audio: Buffer<ArrayBuffer> }>();
    const add = async (gateway: Gateway, id: string, audio = audioOf(id)) => {
      urls.set(id, { url: new URL(await gateway.streamOf(audio, { externalId: id })).pathname, audio });
    };
    for (const id of ['a', 'b', 'c', 'd']) await add(first, id);
    await add(first, 'long', audioOf('long', 5_900_000));
    const old = { ...settings, ...before, ...after, store: before.store!, 'store-before': after.store! };
    // During a restart of several gateways some write to the old store. Each plays what any of them has stored.
    const late = await startGateway(t, old);
    const gateway = await startGateway(t, { ...old, store: after.store!, 'store-before': before.store! });
    await add(late, 'late');
    await add(gateway, 'new');
    const played = async (gateways: Gateway[]) => {
      for (const each of gateways)
        for (const { url, audio } of urls.values())
          if (!(await bodyOf(each.url + url)).equals(audio)) return false;
      return true;
    };
    t.ok(await played([late, gateway]), 'each is played from where it is');

    const summary = await move(t, gateway, {}, async () => {
      t.ok(await played([late, gateway]), 'listeners of the old audio are not cut off');
      for (const one of [before, after]) {
        const message = /^PLAYHEAD_STORE_BEFORE must be \S+ and PLAYHEAD_STORE \S+ until/;
        await t.rejects(startGateway(t, { ...settings, ...one }), { message });
      }
    });
    t.match(summary, { moved: 6, lost: [] });
    t.match(await move(t, gateway), { moved: 0, lost: [] });
    const alone = await startGateway(t, { ...settings, ...after });
    t.ok(await played([alone, gateway]), 'all are played without the old store');
    const rest = await startGateway(t, { ...settings, ...before });
    for (const { externalId, key } of (await rest.parts.catalog.list({ limit: 9 })).recordings)
      await t.rejects(
        rest.parts.wholeAudio.stat(key!),
        { code: 'not_found' },
        `${externalId} is not in the old one`,
      );
    for (const id of urls.keys()) await alone.v1(`/recordings/acct/${id}`, { method: 'DELETE' });
  });
}

/** A move that calls `meanwhile` while the recording of this size is copied. */
function interrupted({ from, to }: StoreMove, size: number, meanwhile: () => Promise<void>): StoreMove {
  let ran: Promise<void> | undefined;
  const read: StoreMove['from']['read'] = async (key, range, version, signal) => {
    if (version.size === size) ran ??= meanwhile();
    await ran;
    return from.read(key, range, version, signal);
  };
  return { to, from: { stat: (...input) => from.stat(...input), read } };
}

t.test('replaced and erased while it is moved', async (t) => {
  const data = await freshFolder(t);
  const old = join(data, 'old');
  const settings: Settings = { 'data-dir': data };
  const before = await startGateway(t, { ...settings, store: `file:${old}` });
  for (const [index, id] of ['replaced', 'erased', 'moved then erased', 'kept'].entries())
    t.ok((await before.ingest(audioOf(id, 300_000 + 4 * index), { externalId: id })).ok);
  const gateway = await startGateway(t, { ...settings, 'store-before': `file:${old}` });
  const { storeMove } = gateway.parts;
  const erase = async (id: string) => {
    const { status } = await gateway.v1(`/recordings/acct/${encodeURIComponent(id)}`, { method: 'DELETE' });
    t.equal(status, 204);
  };
  const replacing = interrupted(storeMove!, 300_000, async () => {
    t.ok((await gateway.ingest(audioOf('other'), { externalId: 'replaced', replace: true })).ok);
  });
  const both = interrupted(replacing, 300_004, () => erase('erased'));
  const summary = await move(t, gateway, { move: both }, async () => {
    t.ok((await filesBelow(old)).length >= 2, 'the old audio is kept');
    await erase('moved then erased');
    t.equal((await filesBelow(old)).length, 1, 'but not that of an erased recording');
  });
  t.match(summary, { moved: 2, lost: [] });
  t.same(await filesBelow(old), []);
  t.equal((await filesBelow(join(data, 'recordings'))).length, 2);
  const shared = await gateway.v1('/recordings/acct/replaced/url', { method: 'POST' });
  const { authenticatedUrl } = (await shared.json()) as { authenticatedUrl: string };
  t.ok((await bodyOf(authenticatedUrl)).equals(audioOf('other')));
});

t.test('lost audio is named, and all else is moved', async (t) => {
  const data = await freshFolder(t);
  const old = join(data, 'old');
  const settings: Settings = { 'data-dir': data, store: `file:${old}` };
  const before = await startGateway(t, settings);
  for (const id of ['lost', 'kept']) t.ok((await before.ingest(audioOf(id), { externalId: id })).ok);
  await rm(join(old, (await before.parts.catalog.read('acct', 'lost'))!.key!));
  const gateway = await startGateway(t, { 'data-dir': data, 'store-before': `file:${old}` });
  t.match(await move(t, gateway), { moved: 1, lost: [{ externalId: 'lost' }] });

  const moving = { 'data-dir': data, 'store-before': `file:${old}` };
  const { code, stdout } = await run(moving, 'move-store');
  t.equal(code, 1);
  t.match(stdout, /acct\/lost has lost its audio.*\nNext: send these recordings again/);
  await gateway.v1('/recordings/acct/lost', { method: 'DELETE' });
  t.match(await run(moving, 'move-store'), {
    code: 0,
    stdout:
      /^Moved 0 .*\nAll recordings are in file:\S+recordings\. Next: restart every gateway without PLAYHEAD_STORE_BEFORE/,
  });
  t.match(await run({ 'data-dir': data }, 'move-store'), {
    code: 64,
    stderr: /PLAYHEAD_STORE_BEFORE is missing/,
  });
  t.match(await run({ ...settings, 'store-before': settings.store! }, 'move-store'), {
    code: 64,
    stderr: /must not be/,
  });
});
