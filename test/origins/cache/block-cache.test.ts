import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { Buffers } from '../../../src/origins/buffers.ts';
import { blocksOf } from '../../../src/origins/cache/block.ts';
import { BlockCache } from '../../../src/origins/cache/block-cache.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import type { ByteRange, Origin } from '../../../src/origins/origin.ts';
import {
  codeOf,
  collect,
  originContract,
  pattern,
  readAll,
  type Tap,
  untilReleased,
} from '../../contracts/origin.ts';
import { until } from '../../until.ts';
import { CountingOrigin } from './counting.ts';

const megabyte = 1024 * 1024;
/** A signal that never aborts. */
const awake = () => new AbortController().signal;

/** A cache before a counting origin. */
function make(t: Tap, bytes = 64 * megabyte) {
  const origin = new CountingOrigin(t);
  const memory = new Memory(bytes);
  const buffers = new Buffers();
  const metrics = createMetrics();
  const cache = new BlockCache(origin, { name: 'store', memory, buffers, metrics });
  return {
    far: origin,
    cache,
    held: () => memory.lent + buffers.inUse + origin.open,
    async outcomes() {
      const { values } = await metrics.blocks.get();
      return Object.fromEntries(
        values.map(({ labels, value }) => [labels.outcome, value]).filter(([, n]) => n !== 0),
      );
    },
    /** Puts a recording behind the cache. Returns its version, as the catalog has it. */
    async put(name: string, bytes: Buffer) {
      return origin.stat(await origin.put(name, bytes));
    },
  };
}

originContract(t, async (t) => {
  const { far, cache, held } = make(t);
  return { origin: cache, missing: 'no/such.wav', held, put: (name, bytes) => far.put(name, bytes) };
});

t.test('the smallest cache passes the contract, too', async (t) => {
  originContract(t, async (t) => {
    const { far, cache, held } = make(t, 0);
    return { origin: cache, missing: 'no/such.wav', held, put: (name, bytes) => far.put(name, bytes) };
  });
});

t.test('many ranges at once through a cache that is too small for them', async (t) => {
  const { cache, put, held } = make(t, 0);
  const bytes = pattern(40 * megabyte + 4321);
  const version = await put('a.wav', bytes);
  const position = fc.nat(bytes.length - 1);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(position, fc.nat(5 * megabyte)), { minLength: 1, maxLength: 12 }),
      async (ranges) => {
        const right = ranges.map(async ([first, length]) => {
          const range = { first, last: Math.min(first + length, bytes.length - 1) };
          return (await readAll(cache, 'a.wav', range, version)).equals(
            bytes.subarray(range.first, range.last + 1),
          );
        });
        return (await Promise.all(right)).every(Boolean);
      },
    ),
    { numRuns: 60 },
  );
  t.equal(await untilReleased(held), 0);
});

t.test('a cold seek is one request for one block, and a second seek nearby is none', async (t) => {
  const { cache, far, put, held, outcomes } = make(t);
  const bytes = pattern(30 * megabyte);
  const version = await put('a.wav', bytes);
  const seek = async (first: number) => {
    const range = { first, last: first + 65_535 };
    t.ok((await readAll(cache, 'a.wav', range, version)).equals(bytes.subarray(first, first + 65_536)));
    t.equal(await untilReleased(held), 0);
  };
  await seek(10 * megabyte + 1000);
  t.same(far.reads, [{ first: 10 * megabyte, last: 11 * megabyte - 1 }]);
  await seek(10 * megabyte + 900_000);
  t.equal(far.reads.length, 1);
  t.equal(far.bytes, megabyte);
  t.same(far.stats, ['a.wav'], 'looked up by this test; a read needs no stat');
  t.same(await outcomes(), { miss: 1, memory: 1 });
});

t.test('a whole recording of 30 MiB is eight requests at most, each byte once', async (t) => {
  const { cache, far, put } = make(t);
  const bytes = pattern(30 * megabyte);
  const version = await put('a.wav', bytes);
  t.ok((await readAll(cache, 'a.wav', { first: 0, last: bytes.length - 1 }, version)).equals(bytes));
  t.ok(far.reads.length <= 8, `${far.reads.length}`);
  t.equal(far.bytes, bytes.length);
  t.ok((await readAll(cache, 'a.wav', { first: 0, last: bytes.length - 1 }, version)).equals(bytes));
  t.equal(far.bytes, bytes.length, 'nothing more for the second listener');
});

t.test('one request is for the missing blocks before one that is cached', async (t) => {
  const { cache, far, put, held } = make(t);
  const version = await put('a.wav', pattern(8 * megabyte));
  await readAll(cache, 'a.wav', { first: 3 * megabyte, last: 3 * megabyte }, version);
  await untilReleased(held);
  await readAll(cache, 'a.wav', { first: 0, last: 5 * megabyte - 1 }, version);
  t.same(
    far.reads.slice(1).map(({ first, last }) => [first / megabyte, (last + 1) / megabyte]),
    [
      [0, 3],
      [4, 5],
    ],
  );
});

t.test('a hundred listeners on a cold block are one request, and get it while it arrives', async (t) => {
  const { cache, far, put, held, outcomes } = make(t);
  const bytes = pattern(megabyte);
  const version = await put('a.wav', bytes);
  const { promise, resolve } = Promise.withResolvers<void>();
  far.gate = promise;
  const bodies = Array.from({ length: 100 }, () =>
    readAll(cache, 'a.wav', { first: 0, last: megabyte - 1 }, version),
  );
  await until(() => far.open === 1);
  resolve();
  for (const body of await Promise.all(bodies)) if (!body.equals(bytes)) t.fail('wrong bytes');
  t.equal(far.reads.length, 1);
  t.equal(await untilReleased(held), 0);
  t.same(await outcomes(), { miss: 1, shared: 99 });
});

t.test('bytes are sent on before their block is full', async (t) => {
  const { cache, far, put } = make(t);
  const version = await put('a.wav', pattern(megabyte));
  const body = cache.read('a.wav', { first: 0, last: megabyte - 1 }, version, awake());
  const iterator = (await body)[Symbol.asyncIterator]();
  far.gate = new Promise(() => {}); // after the first chunk of 512 KiB
  const { value } = await iterator.next();
  t.equal((value as Uint8Array).length, megabyte / 2);
  t.equal(far.open, 1, 'the other half is missing');
  await iterator.return?.();
  t.equal(await untilReleased(() => far.open), 0);
});

t.test('a listener that leaves ends its request, unless another one waits for it', async (t) => {
  const { cache, far, put, held } = make(t);
  const bytes = pattern(4 * megabyte);
  const version = await put('a.wav', bytes);
  const whole = { first: 0, last: bytes.length - 1 };
  const gate = Promise.withResolvers<void>();
  far.gate = gate.promise;
  const [leaving, staying] = [new AbortController(), new AbortController()];

  const left = readAll(cache, 'a.wav', whole, version, leaving.signal);
  const body = readAll(cache, 'a.wav', whole, version, staying.signal);
  await until(() => far.open === 1);
  leaving.abort();
  await t.rejects(left);
  t.equal(far.open, 1, 'one listener stays, and so does the request');
  gate.resolve();
  t.ok((await body).equals(bytes));
  t.equal(far.reads.length, 1);

  far.gate = new Promise(() => {});
  const other = await put('b.wav', pattern(4 * megabyte, 1));
  const alone = new AbortController();
  const lost = readAll(cache, 'b.wav', whole, other, alone.signal);
  await until(() => far.open === 1);
  alone.abort();
  await t.rejects(lost);
  t.equal(await untilReleased(held), 0, 'no listener stays, and the request has ended');
});

t.test('a listener that leaves at once costs no request', async (t) => {
  let reads = 0;
  const far: Origin = {
    stat: () => Promise.reject(new Error('never called')),
    async read() {
      reads++;
      return (async function* () {})();
    },
  };
  const cache = new BlockCache(far, { name: 'store', memory: new Memory(0), metrics: createMetrics() });
  const leaving = new AbortController();
  const left = cache.read('a.wav', { first: 0, last: 9 }, { etag: '"x"', size: 10 }, leaving.signal);
  leaving.abort(new Error('gone'));
  await t.rejects(left, { message: 'gone' });
  t.equal(reads, 0);
});

t.test('a listener that leaves while it waits for its turn blocks nobody', async (t) => {
  const { cache, far, put, held } = make(t, 0); // two turns
  const versions = [];
  for (let i = 0; i < 6; i++) versions.push(await put(`${i}.wav`, pattern(megabyte, i)));
  const gate = Promise.withResolvers<void>();
  far.gate = gate.promise;
  const leaver = new AbortController();
  const bodies = versions.map((version, i) =>
    readAll(cache, `${i}.wav`, { first: 0, last: megabyte - 1 }, version, i === 4 ? leaver.signal : awake()),
  );
  const outcomes = Promise.allSettled(bodies);
  await until(() => far.open === 2);
  leaver.abort();
  gate.resolve();
  t.same(
    (await outcomes).map(({ status }) => status === 'fulfilled'),
    [true, true, true, true, false, true],
  );
  t.equal(far.peak, 2, 'two at once, and no more');
  t.equal(far.bytes, 5 * megabyte);
  t.equal(await untilReleased(held), 0);
});

t.test('while loads wait for their turn, each brings only the block that is needed', async (t) => {
  const { cache, far, put, held } = make(t, 0); // two turns
  const bytes = pattern(4 * megabyte);
  const whole = { first: 0, last: bytes.length - 1 };
  const gate = Promise.withResolvers<void>();
  far.gate = gate.promise;
  const [a, b, c] = [await put('a.wav', bytes), await put('b.wav', bytes), await put('c.wav', bytes)];
  const first = [readAll(cache, 'a.wav', whole, a), readAll(cache, 'b.wav', whole, b)];
  await until(() => far.open === 2);
  const late = readAll(cache, 'c.wav', whole, c);
  await until(() => far.reads.length >= 3);
  t.same(
    far.reads.map(({ first, last }) => (last + 1 - first) / megabyte),
    [4, 4, 1],
  );
  gate.resolve();
  for (const body of await Promise.all([...first, late])) t.ok(body.equals(bytes));
  t.equal(await untilReleased(held), 0);
});

t.test('only the cached blocks of an origin that is down are played', async (t) => {
  const { cache, far, put, held } = make(t);
  const bytes = pattern(3 * megabyte);
  const version = await put('a.wav', bytes);
  const range: ByteRange = { first: megabyte, last: 2 * megabyte - 1 };
  await readAll(cache, 'a.wav', range, version);
  far.isDown = true;
  t.ok((await readAll(cache, 'a.wav', range, version)).equals(bytes.subarray(range.first, range.last + 1)));
  t.equal(await codeOf(cache.read('a.wav', { first: 0, last: 9 }, version, awake())), 'origin_unavailable');
  t.equal(await codeOf(cache.stat('b.wav')), 'origin_unavailable');
  far.isDown = false;
  t.equal(
    (await readAll(cache, 'a.wav', { first: 0, last: 9 }, version)).length,
    10,
    'a failure is not cached',
  );
  t.equal(await untilReleased(held), 0);
});

t.test('stat is the origin’s own: a replaced recording is seen at once', async (t) => {
  const { cache, put } = make(t);
  for (const size of [1000, 2000]) t.same(await put('a.wav', pattern(size)), await cache.stat('a.wav'));
});

t.test('a forgotten recording is gone', async (t) => {
  const { cache, far, put } = make(t);
  const version = await put('a.wav', pattern(3 * megabyte));
  await readAll(cache, 'a.wav', { first: 0, last: 2 * megabyte }, version);
  far.isDown = true;
  await cache.forget(blocksOf('store', 'a.wav', version.etag, version.size));
  t.equal(await codeOf(cache.read('a.wav', { first: 0, last: 9 }, version, awake())), 'origin_unavailable');
});

t.test('a read that is open brings no block of a forgotten recording back', async (t) => {
  const { cache, far, put } = make(t);
  const bytes = pattern(9 * megabyte);
  const version = await put('a.wav', bytes);
  const forget = () => cache.forget(blocksOf('store', 'a.wav', version.etag, version.size));
  const open = await cache.read('a.wav', { first: 0, last: bytes.length - 1 }, version, awake());
  const reading = open[Symbol.asyncIterator]();
  await reading.next();
  await forget();
  const rest = async () => {
    while (!(await reading.next()).done);
  };
  t.equal(await codeOf(rest()), 'version_changed');
  far.isDown = true;
  for (let index = 0; index < 9; index++) {
    const first = index * megabyte;
    t.equal(
      await codeOf(cache.read('a.wav', { first, last: first }, version, awake())),
      'origin_unavailable',
    );
  }
  far.isDown = false;
  t.ok(
    (await readAll(cache, 'a.wav', { first: 0, last: 99 }, version)).equals(bytes.subarray(0, 100)),
    'put in again',
  );
});

t.test('a range that ends after the recording fails without a request', async (t) => {
  const { cache, far, put } = make(t);
  const version = await put('a.wav', pattern(1000));
  t.equal(await codeOf(cache.read('a.wav', { first: 0, last: 1000 }, version, awake())), 'origin_failed');
  t.same(far.reads, []);
});

t.test('caches that share a memory never take one recording for another', async (t) => {
  const folder = t.testdir({ s3: {}, http: {} });
  const memory = new Memory(16 * megabyte);
  const written = new Date(1_700_000_000_000); // the same size and time: the same etag
  const reads = (['s3', 'http'] as const).map(async (name, i) => {
    const far = new CountingOrigin(t, join(folder, name));
    const cache = new BlockCache(far, { name, memory, metrics: createMetrics() });
    const bytes = pattern(6 * megabyte, i);
    await utimes(join(folder, name, await far.put('same.wav', bytes)), written, written);
    const version = await far.stat('same.wav');
    const read = () => readAll(cache, 'same.wav', { first: 0, last: bytes.length - 1 }, version);
    t.ok((await read()).equals(bytes) && (await read()).equals(bytes), name);
    t.equal(far.bytes, bytes.length, 'both fit');
    return version.etag;
  });
  t.equal(new Set(await Promise.all(reads)).size, 1, 'though their keys and etags are the same');
});

t.test('an origin that does not respond does not block another one', async (t) => {
  const memory = new Memory(0);
  const dead: Origin = {
    stat: () => Promise.reject(new Error('never called')),
    read: (_key, _range, _version, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  };
  const waiting = new BlockCache(dead, { name: 's3', memory, metrics: createMetrics() });
  const leaving = new AbortController();
  const lost = Array.from({ length: 40 }, (_, i) =>
    waiting.read(`${i}`, { first: 0, last: 9 }, { etag: '"x"', size: megabyte }, leaving.signal),
  );
  const far = new CountingOrigin(t);
  const version = await far.stat(await far.put('a.wav', pattern(100)));
  const cache = new BlockCache(far, { name: 'http', memory, metrics: createMetrics() });
  t.equal((await readAll(cache, 'a.wav', { first: 0, last: 99 }, version)).length, 100);
  leaving.abort();
  t.ok((await Promise.allSettled(lost)).every(({ status }) => status === 'rejected'));
});

t.test('a slow origin leaves turns to another one', async (t) => {
  for (const size of [0, 64 * megabyte]) {
    const memory = new Memory(size);
    const dripping: Origin = {
      stat: () => Promise.reject(new Error('never called')),
      read: async (_key, _range, _version, signal) =>
        (async function* () {
          yield new Uint8Array(1);
          await new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(signal.reason)),
          );
        })(),
    };
    const slow = new BlockCache(dripping, { name: 's3', memory, metrics: createMetrics() });
    const far = new CountingOrigin(t);
    const cache = new BlockCache(far, { name: 'http', memory, metrics: createMetrics() });
    const leaving = new AbortController();
    const stuck = Array.from({ length: 40 }, async (_, i) => {
      const range = { first: 0, last: 8 * megabyte - 1 };
      const version = { etag: '"x"', size: 8 * megabyte };
      await collect(await slow.read(`${i}`, range, version, leaving.signal));
    });
    const version = await far.stat(await far.put('a.wav', pattern(3 * megabyte)));
    const whole = { first: 0, last: 3 * megabyte - 1 };
    t.ok((await readAll(cache, 'a.wav', whole, version)).equals(pattern(3 * megabyte)));
    leaving.abort();
    t.ok((await Promise.allSettled(stuck)).every(({ status }) => status === 'rejected'));
  }
});
