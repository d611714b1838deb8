import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { Problem } from '../../src/errors.ts';
import { createMetrics } from '../../src/metrics.ts';
import { Buffers } from '../../src/origins/buffers.ts';
import { FileStore } from '../../src/origins/file/file.ts';
import { HealingOrigin } from '../../src/origins/healing.ts';
import { HttpOrigin } from '../../src/origins/http/http.ts';
import type { ByteRange, Origin } from '../../src/origins/origin.ts';
import { S3Store } from '../../src/origins/s3/s3.ts';
import { codeOf, originContract, pattern, readAll, type Tap, untilReleased } from '../contracts/origin.ts';
import { setEnvironment } from '../environment.ts';
import { serve } from '../servers/serve.ts';

type Fault = { readonly kind: 'reject' | 'reset' | 'end' | 'stall'; readonly after: number };

/** An origin of files whose nth read breaks by `plan`. `reads` lists the ranges that were requested of it. */
function make(t: Tap, plan: (nth: number) => Fault | undefined, stallTimeoutMs = 60_000) {
  const root = t.testdir();
  const buffers = new Buffers();
  const files = new FileStore({ root, buffers });
  t.teardown(() => files.close());
  const reads: ByteRange[] = [];

  const breaking: Origin = {
    stat: (key) => files.stat(key),
    async read(key, range, version, signal) {
      const fault = plan(reads.length);
      reads.push(range);
      if (fault?.kind === 'reject') throw new Problem('origin_unavailable');
      const body = await files.read(key, range, version, signal);
      return fault ? broken(body, fault, signal) : body;
    },
  };

  async function* broken(body: AsyncIterable<Uint8Array>, { kind, after }: Fault, signal: AbortSignal) {
    let left = after;
    for await (const chunk of body) {
      yield chunk.subarray(0, left);
      left -= chunk.length;
      if (left > 0) continue;
      if (kind === 'reset') throw new Error('ECONNRESET');
      if (kind === 'end') return;
      if (!signal.aborted) await once(signal, 'abort');
      throw signal.reason;
    }
  }

  const metrics = createMetrics();
  const origin = new HealingOrigin(breaking, { metrics, stallTimeoutMs, backoffMs: 1 });
  return {
    origin,
    reads,
    missing: 'no/such.wav',
    held: () => buffers.inUse,
    async heals(outcome: string) {
      const { values } = await metrics.heals.get();
      return values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
    },
    async put(name: string, bytes: Uint8Array) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await sleep(10);
      await writeFile(join(root, name), bytes);
      return name;
    },
  };
}

const anyVersion = { etag: '"x"', size: 1000 };
const rejection: Fault = { kind: 'reject', after: 0 };
const kinds = ['reset', 'end', 'reject'] as const;

originContract(t, async (t) => make(t, () => undefined));

t.test('the contract holds while two of three reads break', async (t) => {
  originContract(t, async (t) =>
    make(t, (n) => (n % 3 === 0 ? undefined : { kind: kinds[n % 2]!, after: (n * 7919) % 400_000 })),
  );
});

t.test('faults with progress between them still give exactly the range', async (t) => {
  const fault = fc.record({
    kind: fc.constantFrom('reset', 'end'),
    after: fc.integer({ min: 1, max: 90_000 }),
    rejections: fc.nat(3),
  });
  let plan: Fault[] = [];
  const { origin, put, held } = make(t, () => plan.shift());
  const bytes = pattern(500_000);
  const key = await put('a.wav', bytes);
  const version = await origin.stat(key);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fault, { maxLength: 12 }),
      fc.nat(499_999),
      fc.nat(499_999),
      async (faults, a, b) => {
        plan = faults.flatMap(({ rejections, ...broken }) => [
          ...new Array<Fault>(rejections).fill(rejection),
          broken,
        ]);
        const range = { first: Math.min(a, b), last: Math.max(a, b) };
        return (await readAll(origin, key, range, version)).equals(
          bytes.subarray(range.first, range.last + 1),
        );
      },
    ),
    { numRuns: 300 },
  );
  t.equal(await untilReleased(held), 0);
});

t.test('a read goes on at its next byte, and the metric counts it', async (t) => {
  const faults: Fault[] = [
    { kind: 'reset', after: 1000 },
    { kind: 'end', after: 500 },
  ];
  const { origin, put, reads, heals } = make(t, (n) => faults[n]);
  const key = await put('a.wav', pattern(10_000));
  const version = await origin.stat(key);
  await readAll(origin, key, { first: 100, last: 9999 }, version);
  t.same(
    reads,
    [100, 1100, 1600].map((first) => ({ first, last: 9999 })),
  );
  t.equal(await heals('healed'), 2);
  t.equal(await heals('failed'), 0);
});

t.test('a stalled read is repeated, but not while it waits for its listener', async (t) => {
  const { origin, put, reads } = make(
    t,
    (n) => (n === 0 ? { kind: 'stall', after: 700_000 } : undefined),
    1000, // a busy machine must not look like a stall
  );
  const bytes = pattern(2_000_000);
  const key = await put('a.wav', bytes);
  const version = await origin.stat(key);
  const chunks: Buffer[] = [];
  const whole = { first: 0, last: 1_999_999 };
  for await (const chunk of await origin.read(key, whole, version, new AbortController().signal)) {
    if (chunks.length === 0) await sleep(1500); // longer than the limit
    chunks.push(Buffer.from(chunk));
  }
  t.ok(Buffer.concat(chunks).equals(bytes));
  t.same(
    reads.map(({ first }) => first),
    [0, 700_000],
  );
});

t.test('five failures without a byte between them end a read, before or after the first byte', async (t) => {
  const { origin, put, reads, heals, held } = make(t, (n) =>
    n === 0 ? { kind: 'reset', after: 5 } : { kind: 'reject', after: 0 },
  );
  const key = await put('a.wav', pattern(1000));
  const version = await origin.stat(key);
  const all = { first: 0, last: 999 };
  t.equal(await codeOf(readAll(origin, key, all, version)), 'origin_unavailable');
  t.equal(reads.length, 5, 'after the first byte');
  t.equal(await codeOf(origin.read(key, all, version, new AbortController().signal)), 'origin_unavailable');
  t.equal(reads.length, 10, 'before the first byte: read itself throws');
  t.equal(await heals('failed'), 2);
  t.equal(held(), 0);
});

t.test('a silent origin gets two attempts, before or after the first byte', async (t) => {
  for (const after of [0, 5]) {
    const { origin, put, reads, heals, held } = make(
      t,
      (n) => ({ kind: 'stall', after: n === 0 ? after : 0 }),
      100,
    );
    const key = await put('a.wav', pattern(1000));
    const version = await origin.stat(key);
    t.equal(await codeOf(readAll(origin, key, { first: 0, last: 999 }, version)), 'origin_unavailable');
    t.equal(reads.length, 2, `after ${after} bytes`);
    t.equal(await heals('failed'), 1);
    t.equal(held(), 0);
  }
});

t.test('a server that never responds gets two requests at most', async (t) => {
  const requests: string[] = [];
  const { url } = await serve(t, ({ url }) => requests.push(url!));
  const limits = { stallTimeoutMs: 400, metrics: createMetrics() };
  const s3 = new S3Store({ bucket: 'bucket', endpoint: url, region: 'eu', forcePathStyle: true, ...limits });
  const http = new HttpOrigin({
    allowedHosts: [new URL(url).host],
    credentials: new Map(),
    ...{ maxBytes: 1000, fetchTimeoutMs: 60_000 },
    ...limits,
  });
  setEnvironment(t, { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret' });
  t.teardown(() => Promise.all([s3.close(), http.close()]));
  for (const [name, far, key] of [
    ['S3', s3, 'a.wav'],
    ['a vendor', http, `${url}/a.wav`],
  ] as const) {
    const origin = new HealingOrigin(far, limits);
    for (const [what, request] of [
      ['stat', () => origin.stat(key)],
      ['read', () => origin.read(key, { first: 0, last: 9 }, anyVersion, new AbortController().signal)],
    ] as const) {
      requests.length = 0;
      t.equal(await codeOf(request()), 'origin_unavailable', `${name}, ${what}`);
      t.ok(requests.length <= 2, `${requests.length} requests`);
    }
  }
});

t.test('an error that will not pass is not retried', async (t) => {
  const { origin, put, reads } = make(t, () => undefined);
  const key = await put('a.wav', pattern(1000));
  t.equal(await codeOf(readAll(origin, key, { first: 0, last: 9 }, anyVersion)), 'version_changed');
  t.equal(await codeOf(readAll(origin, 'none', { first: 0, last: 9 }, anyVersion)), 'not_found');
  t.equal(reads.length, 2);
});

t.test('a listener that leaves between two attempts ends the read with its reason', async (t) => {
  const down: Origin = {
    stat: () => Promise.reject(new Error('never called')),
    read: () => Promise.reject(new Problem('origin_unavailable')),
  };
  const origin = new HealingOrigin(down, {
    metrics: createMetrics(),
    stallTimeoutMs: 1000,
    backoffMs: 100_000,
  });
  const abortion = new AbortController();
  const read = origin.read('a.wav', { first: 0, last: 9 }, anyVersion, abortion.signal);
  setImmediate(() => abortion.abort(new Problem('version_changed')));
  t.equal(await codeOf(read), 'version_changed');
});
