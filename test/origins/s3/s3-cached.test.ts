import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { BlockCache } from '../../../src/origins/cache/block-cache.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import { HealingOrigin } from '../../../src/origins/healing.ts';
import { S3Store } from '../../../src/origins/s3/s3.ts';
import { collect, pattern, readAll, untilReleased } from '../../contracts/origin.ts';
import { setEnvironment } from '../../environment.ts';
import { freshFolder } from '../../files.ts';
import { faultProxy } from '../../servers/fault-proxy.ts';
import { startNginx, withoutNginx } from '../../servers/nginx.ts';

const skip = withoutNginx;
const kilobyte = 1024;
const megabyte = 1024 * kilobyte;
/** A signal that never aborts. */
const awake = () => new AbortController().signal;

/** Block cache, healing and S3 as in the gateway, with nginx in the place of S3. Counts what goes over the wire. */
async function setUp(t: Test, sizes: number[], memoryBytes: number) {
  const root = await freshFolder(t);
  await mkdir(join(root, 'bucket'));
  const recordings = sizes.map((size, i) => ({ key: `${i}.wav`, bytes: pattern(size, i) }));
  for (const { key, bytes } of recordings) await writeFile(join(root, 'bucket', key), bytes);
  const proxy = await faultProxy(t, await startNginx(t, root));
  setEnvironment(t, { AWS_ACCESS_KEY_ID: 'testkey', AWS_SECRET_ACCESS_KEY: 'testsecret' });
  const metrics = createMetrics();
  const limits = { stallTimeoutMs: 10_000, metrics };
  const s3 = new S3Store({ bucket: 'bucket', endpoint: proxy.url, forcePathStyle: true, ...limits });
  const cache = new BlockCache(new HealingOrigin(s3, limits), {
    name: 's3',
    memory: new Memory(memoryBytes),
    metrics,
  });
  t.teardown(() => s3.close());
  const version = await cache.stat(recordings[0]!.key);
  const requests = async () =>
    (await metrics.originRequests.get()).values.reduce((sum, { value }) => sum + value, 0);
  /** Requests and bytes that `work` cost. */
  const cost = async (work: () => Promise<unknown>) => {
    const [requestsBefore, bytesBefore] = [await requests(), proxy.counts.bytes];
    await work();
    await untilReleased(() => s3.underWay);
    return { requests: (await requests()) - requestsBefore, bytes: proxy.counts.bytes - bytesBefore };
  };
  return { s3, cache, proxy, version, recordings, cost };
}

t.test('what a seek, a second seek and a whole read cost', { skip }, async (t) => {
  const { cache, version, recordings, cost } = await setUp(t, [30 * megabyte], 64 * megabyte);
  const { key, bytes } = recordings[0]!;
  const seek = (first: number) => async () => {
    const last = first + 64 * kilobyte - 1;
    t.ok((await readAll(cache, key, { first, last }, version)).equals(bytes.subarray(first, last + 1)));
  };
  const cold = await cost(seek(20 * megabyte + 5000));
  t.equal(cold.requests, 1, 'cold: one request');
  t.ok(cold.bytes <= megabyte + 1000, `and ${cold.bytes} bytes of it, with the head`);
  t.same(await cost(seek(20 * megabyte + 600_000)), { requests: 0, bytes: 0 }, 'nearby: nothing');

  const whole = await cost(async () => {
    t.ok((await readAll(cache, key, { first: 0, last: bytes.length - 1 }, version)).equals(bytes));
  });
  t.ok(whole.requests <= 8, `the whole: ${whole.requests} requests`);
  t.ok(whole.bytes <= 29 * megabyte + 8000, 'and no byte twice');
});

t.test('a hundred listeners on one cold block are one request', { skip }, async (t) => {
  const { cache, version, recordings, cost } = await setUp(t, [3 * megabyte], 64 * megabyte);
  const { key, bytes } = recordings[0]!;
  const { requests } = await cost(() =>
    Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const range = { first: megabyte + i * 1000, last: megabyte + i * 1000 + 65_535 };
        const right = bytes.subarray(range.first, range.last + 1);
        t.ok((await readAll(cache, key, range, version)).equals(right));
      }),
    ),
  );
  t.equal(requests, 1);
});

t.test('a listener that leaves ends its read of S3', { skip }, async (t) => {
  const { cache, s3, version, recordings, cost } = await setUp(t, [60 * megabyte], 64 * megabyte);
  const { key, bytes } = recordings[0]!;
  const whole = { first: 0, last: bytes.length - 1 };
  const { bytes: sent } = await cost(async () => {
    for await (const _ of await cache.read(key, whole, version, awake())) break;
    t.equal(await untilReleased(() => s3.underWay), 0);
  });
  t.ok(sent < 20 * megabyte, `${sent} bytes had been sent`);
});

t.test('five hundred slow listeners hold no connection, and all are served', { skip }, async (t) => {
  const sizes = Array.from({ length: 20 }, () => 2 * megabyte);
  const { cache, s3, proxy, recordings } = await setUp(t, sizes, 64 * megabyte);
  const lookups = recordings.map(async (recording) => ({
    ...recording,
    version: await cache.stat(recording.key),
  }));
  const [newcomer, ...played] = await Promise.all(lookups);
  const listeners = Array.from({ length: 500 }, (_, i) => played[i % played.length]!);
  const halves = await Promise.all(
    listeners.map(async ({ key, bytes, version }) => {
      const range = { first: 0, last: bytes.length - 1 };
      const body = (await cache.read(key, range, version, awake()))[Symbol.asyncIterator]();
      const { value } = await body.next();
      return { body, bytes, first: Buffer.from(value) };
    }),
  );
  t.ok(
    halves.every(({ bytes, first }) => first.equals(bytes.subarray(0, first.length))),
    'each has its first bytes',
  );
  t.equal(await untilReleased(() => s3.underWay), 0, 'while all of them pause, no connection is held');
  t.ok(proxy.counts.peak <= 50, `${proxy.counts.peak} connections at one time at most`);

  const { key, bytes, version } = newcomer!;
  t.ok(
    (await readAll(cache, key, { first: 0, last: bytes.length - 1 }, version)).equals(bytes),
    'a newcomer is served',
  );

  for (const { body, bytes, first } of halves) {
    const rest = await collect({ [Symbol.asyncIterator]: () => body });
    if (!rest.equals(bytes.subarray(first.length))) return t.fail('a slow listener got other bytes');
  }
  t.pass('all five hundred get the end');
});
