import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { filesBelow, freshFolder } from '../files.ts';
import { longRecording, markedRecording, spawnGateway } from '../gateway.ts';
import { seeded } from '../random.ts';
import { until } from '../until.ts';
import { freshBucket, kinds, run, type Settings, start } from './site.ts';

/** Of each way. */
const kills = Number(process.env.PLAYHEAD_TEST_KILLS ?? 4);
const seed = Number(process.env.PLAYHEAD_TEST_SEED ?? randomBytes(4).readUInt32LE());
const addedEachRound = 5;

type Gateway = Awaited<ReturnType<typeof spawnGateway>>;

const template = await longRecording(6);

interface Call {
  url: string;
  audio: Buffer;
}

/** The database of the gateways, to look into it without them. */
function lookInto(t: Test, dataDir: string) {
  const database = new DatabaseSync(join(dataDir, 'playhead.db'), { timeout: 20_000 });
  t.teardown(() => database.close());
  return {
    /** The store keys of recordings that are never replaced: they change when a recording is moved. */
    keys: () =>
      JSON.stringify(
        database
          .prepare("select key from recordings where external_id not like '%changing' order by id")
          .all(),
      ),
    /** Ends what is kept for listeners, and the leases of interrupted copies, as minutes would. */
    endWaits: () => database.exec('update uploads set lease_until = 0, kept_until = 0'),
    endLeases: () => database.exec('delete from leases'),
  };
}

async function killRepeatedly(t: Test, stores: { before: Settings; after: Settings; alone: Settings }) {
  const random = seeded(seed);
  const audioOf = (id: string) =>
    markedRecording(template, random() < 0.1 ? 5_900_000 : 300_000 + Math.round(random() * 400_000), id);
  const [old, gateway] = [await spawnGateway(t, stores.before), await spawnGateway(t, stores.after)];
  const database = lookInto(t, stores.after['data-dir']);
  const calls = new Map<string, Call>();
  const erased = new Map<string, string>();
  const wrong: string[] = [];
  let played = 0;

  const put = async (to: Gateway, id: string, replace = false) => {
    const audio = audioOf(id);
    const { pathname } = new URL(await to.streamOf(audio, { externalId: id, replace }));
    calls.set(id, { url: pathname, audio });
  };
  const play = async (from: Gateway, id: string, { url, audio }: Call) => {
    const response = await fetch(from.url + url);
    const body = Buffer.from(await response.arrayBuffer());
    played++;
    if (!response.ok || !body.equals(audio)) wrong.push(`${id}: ${response.status}, ${body.length} bytes`);
  };
  /** Plays recordings by both gateways all the time. */
  const listen = async (listener: Gateway, isDone: () => boolean) => {
    while (!isDone()) {
      const stable = [...calls].filter(([id]) => !id.endsWith('changing'));
      const [id, call] = stable[Math.floor(random() * stable.length)]!;
      await play(listener, id, call);
    }
  };

  await put(old, 'first');
  let isDone = false;
  const listening = [old, gateway].map((listener) => listen(listener, () => isDone));
  for (let round = 0; round < kills; round++) {
    for (let index = 0; index < addedEachRound; index++) await put(old, `${round}-${index}`);
    for (const name of ['replaced', 'erased']) await put(old, `${round} ${name} changing`);
    const before = database.keys();
    const hasMoved = () => database.keys() !== before;
    const mover = start(stores.after, 'move-store');
    const changing = (async () => {
      await until(() => hasMoved() || mover.child.signalCode !== null);
      await put(round % 2 ? old : gateway, `${round} replaced changing`, true);
      const id = `${round} erased changing`;
      const { status } = await gateway.v1(`/recordings/acct/${encodeURIComponent(id)}`, { method: 'DELETE' });
      if (status !== 204) wrong.push(`${id}: ${status}`);
      erased.set(id, calls.get(id)!.url);
      calls.delete(id);
    })();
    // Every other round is killed while it moves. The others may be killed at their start, or when all are moved.
    if (round % 2 === 0) await until(hasMoved, 60_000);
    await sleep(random() * (round % 2 === 0 ? 60 : 2_000));
    mover.child.kill('SIGKILL');
    await Promise.all([mover.ended, changing]);
    database.endLeases(); // as half a minute would
  }
  isDone = true;
  await Promise.all(listening);

  const ending = setInterval(() => database.endWaits(), 100);
  const last = await run(stores.after, 'move-store').finally(() => clearInterval(ending));
  t.match(last, { code: 0, stdout: /All recordings are in / }, last.stderr);
  for (const { child } of [old, gateway]) child.kill('SIGKILL');
  const alone = await spawnGateway(t, stores.alone);
  for (const [id, call] of calls) await play(alone, id, call);
  for (const [id, url] of erased) if ((await fetch(alone.url + url)).ok) wrong.push(`${id} is still played`);
  t.same(wrong, [], 'every recording was right at every moment, and is right in the new store alone');
  t.ok(played > calls.size, `${played} plays, seed ${seed}`);
  return { alone, recordings: calls.size };
}

t.test(`killed ${kills} times while recordings are moved to another folder`, async (t) => {
  const data = { 'data-dir': await freshFolder(t), 'log-level': 'silent' };
  const [first, second] = [await freshFolder(t), await freshFolder(t)];
  const [one, two] = [`file:${first}`, `file:${second}`];
  const { recordings } = await killRepeatedly(t, {
    before: { ...data, store: one, 'store-before': two },
    after: { ...data, store: two, 'store-before': one },
    alone: { ...data, store: two },
  });
  t.same(await filesBelow(first), [], 'nothing is left in the old store');
  t.equal((await filesBelow(second)).length, recordings, 'and nothing without a recording is in the new one');
});

t.test(`killed ${kills} times while recordings are moved to S3`, { skip: kinds.onS3.skip }, async (t) => {
  const data = { 'data-dir': await freshFolder(t), 'log-level': 'silent' };
  const folder = await freshFolder(t);
  const bucket = await freshBucket(t);
  const { alone } = await killRepeatedly(t, {
    before: { ...data, ...bucket, store: `file:${folder}`, 'store-before': bucket.store },
    after: { ...data, ...bucket, 'store-before': `file:${folder}` },
    alone: { ...data, ...bucket },
  });
  t.same(await filesBelow(folder), [], 'nothing is left in the old store');
  const list = (await (await alone.v1('/recordings?limit=200')).json()) as {
    recordings: { externalId: string }[];
  };
  for (const { externalId } of list.recordings)
    await alone.v1(`/recordings/acct/${encodeURIComponent(externalId)}`, { method: 'DELETE' });
});
