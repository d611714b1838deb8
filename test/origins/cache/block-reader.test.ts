import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { Buffers } from '../../../src/origins/buffers.ts';
import { BlockCache } from '../../../src/origins/cache/block-cache.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import { pattern, readAll, type Tap, untilReleased } from '../../contracts/origin.ts';
import { until } from '../../until.ts';
import { CountingOrigin } from './counting.ts';

const megabyte = 1024 * 1024;
const slowMs = 60; // between chunks; more than 50 ms is slow
/** A signal that never aborts. */
const awake = () => new AbortController().signal;

function make(t: Tap, bytes: number) {
  const far = new CountingOrigin(t);
  const memory = new Memory(bytes);
  const buffers = new Buffers();
  const cache = new BlockCache(far, { name: 'store', memory, buffers, metrics: createMetrics() });
  const held = () => memory.lent + buffers.inUse + far.open;
  return { far, memory, buffers, cache, held };
}

async function recordings(far: CountingOrigin, count: number, size: number) {
  const made = [];
  for (let i = 0; i < count; i++) {
    const key = await far.put(`${i}.wav`, pattern(size, i));
    made.push({
      key,
      bytes: pattern(size, i),
      version: await far.stat(key),
      all: { first: 0, last: size - 1 },
    });
  }
  return made;
}

t.test('five hundred slow listeners hold no request and little memory, and all are served', async (t) => {
  const { far, memory, buffers, cache, held } = make(t, 64 * megabyte);
  const made = await recordings(far, 20, 5 * megabyte);
  const measured = Promise.withResolvers<void>();
  let started = 0;
  let wrong = 0;
  const listeners = Array.from({ length: 500 }, async (_, i) => {
    const { key, bytes, version } = made[i % made.length]!;
    let position = (i * 7919) % (4 * megabyte);
    const range = { first: position, last: position + 250_000 };
    for await (const chunk of await cache.read(key, range, version, awake())) {
      if (position === range.first) {
        started++;
        await measured.promise;
      }
      await sleep(slowMs);
      if (!bytes.subarray(position, position + chunk.length).equals(chunk)) wrong++;
      position += chunk.length;
    }
    return position === range.last + 1;
  });
  t.ok(await until(() => started === 500), 'all have a first chunk, and none has finished');
  t.equal(await untilReleased(() => far.open), 0, 'no request is open');
  t.ok(memory.lent <= 16, `${memory.lent} of 64 blocks are lent`);
  t.ok(buffers.inUse <= 500, 'the others hold 32 KiB each');
  t.ok(far.peak <= 8, `${far.peak} requests at once`);
  measured.resolve();
  t.same(new Set(await Promise.all(listeners)), new Set([true]));
  t.equal(wrong, 0);
  t.equal(await untilReleased(held), 0);
});

t.test('a listener that pauses stops the reading ahead', async (t) => {
  const { far, cache } = make(t, 64 * megabyte);
  const [recording] = await recordings(far, 1, 30 * megabyte);
  const { key, all, version } = recording!;
  const iterator = (await cache.read(key, all, version, awake()))[Symbol.asyncIterator]();
  await iterator.next();
  t.equal(await untilReleased(() => far.open), 0, 'the request ended by itself');
  t.equal(far.bytes, 4 * megabyte);
  t.equal(far.reads.length, 1);
  await iterator.return?.();
});

t.test('a slow listener whose block was evicted reads on in small chunks, not in megabytes', async (t) => {
  const { far, cache, held } = make(t, 16 * megabyte);
  const [played, ...others] = await recordings(far, 3, 12 * megabyte);
  const { key, bytes, all, version } = played!;
  let position = 0;
  for await (const chunk of await cache.read(key, all, version, awake())) {
    t.ok(bytes.subarray(position, position + chunk.length).equals(chunk), `at ${position}`);
    position += chunk.length;
    if (position >= 2 * megabyte) break;
    if (position <= megabyte) continue; // fast for one block, then slow
    await sleep(slowMs);
    for (const other of others) await readAll(cache, other.key, other.all, other.version);
  }
  const small = far.reads.filter(({ first, last }) => last - first + 1 <= 65_536);
  t.ok(small.length > 5, `${small.length} small reads`);
  t.equal(await untilReleased(held), 0);
});

t.test('reading every recording once does not evict the blocks that players use', async (t) => {
  const { far, cache, held } = make(t, 32 * megabyte);
  const [played, ...transcribed] = await recordings(far, 4, 30 * megabyte);
  const seeks = [1, 5, 9, 13].map((block) => ({
    first: block * megabyte + 5,
    last: block * megabyte + 65_540,
  }));
  const play = async () => {
    for (const range of seeks) await readAll(cache, played!.key, range, played!.version);
    await untilReleased(held);
  };
  await play();
  await play();
  for (const { key, all, version } of transcribed) await readAll(cache, key, all, version);
  const before = far.reads.length;
  await play();
  t.equal(far.reads.length, before);
});

t.test('listeners leave at any time, and nothing is held and no turn is lost', async (t) => {
  const { far, cache, held } = make(t, 0);
  const made = await recordings(far, 6, 6 * megabyte);
  const visits = Array.from({ length: 300 }, async (_, i) => {
    const { key, bytes, version } = made[i % made.length]!;
    const leaving = AbortSignal.timeout((i * 37) % 400);
    let position = (i * 104_729) % megabyte;
    const range = { first: position, last: bytes.length - 1 };
    try {
      for await (const chunk of await cache.read(key, range, version, leaving)) {
        if (!bytes.subarray(position, position + chunk.length).equals(chunk)) return 'wrong bytes';
        position += chunk.length;
        if (i % 3 === 0) await sleep(slowMs);
        if (i % 5 === 0 && position > 3 * megabyte) break;
      }
      return 'served';
    } catch (error) {
      return error === leaving.reason ? 'left' : String(error);
    }
  });
  const outcomes = new Set(await Promise.all(visits));
  t.ok(outcomes.has('left'));
  t.same(
    [...outcomes].filter((outcome) => outcome !== 'left' && outcome !== 'served'),
    [],
  );
  t.equal(await untilReleased(held), 0);
  const all = made.map(async ({ key, bytes, all, version }) =>
    (await readAll(cache, key, all, version)).equals(bytes),
  );
  t.same(new Set(await Promise.all(all)), new Set([true]), 'listeners after them are served');
});
