import type tap from 'tap';
import { isProblem, type ProblemCode } from '../../src/errors.ts';
import type { ByteRange, Origin, Store, Version } from '../../src/origins/origin.ts';
import { bufferBytes } from '../memory.ts';
import { until } from '../until.ts';

export type Tap = Pick<typeof tap, 'test' | 'teardown' | 'testdir' | 'equal' | 'ok'>;

/** An origin under test, and what the tests need besides. `make` closes what it opens, by `t.teardown`. */
export interface Harness {
  readonly origin: Origin;
  /** The same origin if it can be written to. Without it, the tests of a store do nothing. */
  readonly store?: Store;
  /** Puts bytes behind the origin, in place of those that were there. Returns their key. */
  put(name: string, bytes: Uint8Array): Promise<string>;
  /** A key with no recording. */
  readonly missing: string;
  /** What reads hold at this moment: buffers, blocks, descriptors, connections. */
  held(): number;
}

const megabyte = 1024 * 1024;
/** A signal that never aborts. */
const awake = () => new AbortController().signal;

/** `size` bytes. Every four of them depend on their position and on the version. */
export function pattern(size: number, version = 0): Buffer {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++)
    words[i] = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(version, 0x85ebca6b);
  return Buffer.from(words.buffer, 0, size);
}

/** Every byte of an iteration. Copies each chunk before it requests the next. */
export async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

export async function readAll(
  origin: Origin,
  key: string,
  range: ByteRange,
  version: Version,
  signal = awake(),
) {
  return collect(await origin.read(key, range, version, signal));
}

export async function codeOf(work: Promise<unknown>): Promise<ProblemCode | string> {
  return work.then(
    () => 'nothing was thrown',
    (error) => (isProblem(error) ? error.code : String(error)),
  );
}

/** Waits until reads hold nothing. Returns what they still hold when the time is over. */
export async function untilReleased(held: () => number): Promise<number> {
  await until(() => held() <= 0).catch(() => {});
  return held();
}

/** What every Origin does, and every Store. */
export function originContract(t: Tap, make: (t: Tap) => Promise<Harness>): void {
  t.test('stat returns size, strong etag and time, the same each time', async (t) => {
    const { origin, put } = await make(t);
    const key = await put('a.wav', pattern(1000));
    const first = await origin.stat(key);
    t.equal(first.size, 1000);
    t.match(first.etag, /^"[!#-~]+"$/, 'strong, in quotes (RFC 9110 §8.8.3)');
    t.ok(Math.abs(first.lastModified.getTime() - Date.now()) < 3_600_000);
    t.same(await origin.stat(key), first);
  });

  t.test('read gives exactly the bytes of any range', async (t) => {
    const { origin, put, held } = await make(t);
    const size = 3 * megabyte + 17;
    const bytes = pattern(size);
    const key = await put('ranges.wav', bytes);
    const version = await origin.stat(key);
    const ranges: [string, number, number][] = [
      ['the first byte', 0, 0],
      ['the last byte', size - 1, size - 1],
      ['one byte in the middle', 1_234_567, 1_234_567],
      ['the whole', 0, size - 1],
      ['64 KiB from the start', 0, 65_535],
      ['64 KiB and one byte', 100, 65_636],
      ['across a megabyte', megabyte - 10, megabyte + 9],
      ['exactly the second megabyte', megabyte, 2 * megabyte - 1],
      ['from the middle to the end', 1_500_000, size - 1],
    ];
    for (const [name, first, last] of ranges) {
      const got = await readAll(origin, key, { first, last }, version);
      t.ok(got.equals(bytes.subarray(first, last + 1)), name);
    }
    t.equal(await untilReleased(held), 0, 'nothing is held afterwards');
  });

  t.test('what cannot be read fails with its code', async (t) => {
    const { origin, put, missing } = await make(t);
    const key = await put('b.wav', pattern(1000));
    const version = await origin.stat(key);
    const other = { ...version, etag: '"other"' };
    const all = { first: 0, last: 999 };
    t.equal(await codeOf(origin.stat(missing)), 'not_found', 'stat of nothing');
    t.equal(await codeOf(readAll(origin, missing, all, version)), 'not_found', 'read of nothing');
    t.equal(await codeOf(readAll(origin, key, all, other)), 'version_changed', 'read of another version');
    t.equal(
      await codeOf(readAll(origin, key, { first: 0, last: 1000 }, version)),
      'origin_failed',
      'past the end',
    );
  });

  t.test('keys can have any characters', async (t) => {
    const { origin, put } = await make(t);
    const names = [
      'a b+c%20d&e=f#g.wav',
      'ünï/çödé/音声 🎧.flac',
      "it's (1) [2] {3} ~!@$^,;.mp4",
      'x/y/z/.hidden',
      '%2e%2e',
    ];
    for (const [i, name] of names.entries()) {
      const key = await put(name, pattern(100, i));
      const version = await origin.stat(key);
      t.ok((await readAll(origin, key, { first: 0, last: 99 }, version)).equals(pattern(100, i)), name);
    }
  });

  t.test('forty reads at once each get their own bytes', async (t) => {
    const { origin, put, held } = await make(t);
    const bytes = pattern(2 * megabyte);
    const key = await put('c.wav', bytes);
    const version = await origin.stat(key);
    const reads = Array.from({ length: 40 }, async (_, i) => {
      const range = { first: i * 50_000, last: i * 50_000 + 99_999 };
      return (await readAll(origin, key, range, version)).equals(bytes.subarray(range.first, range.last + 1));
    });
    t.same(new Set(await Promise.all(reads)), new Set([true]));
    t.equal(await untilReleased(held), 0);
  });

  t.test('a listener that leaves, aborts or never starts holds nothing afterwards', async (t) => {
    const { origin, put, held } = await make(t);
    const bytes = pattern(8 * megabyte);
    const key = await put('d.wav', bytes);
    const version = await origin.stat(key);
    const whole = { first: 0, last: bytes.length - 1 };

    for await (const chunk of await origin.read(key, whole, version, awake())) {
      t.ok(bytes.subarray(0, chunk.length).equals(chunk));
      t.ok(held() > 0, 'a read that runs holds something, or this test proves nothing');
      break;
    }
    t.equal(await untilReleased(held), 0, 'left after one chunk');

    const abortion = new AbortController();
    const body = (await origin.read(key, whole, version, abortion.signal))[Symbol.asyncIterator]();
    await body.next();
    abortion.abort();
    await t.rejects(body.next(), 'an aborted iteration throws');
    t.equal(await untilReleased(held), 0, 'aborted after one chunk');

    const unread = new AbortController();
    await origin.read(key, whole, version, unread.signal);
    unread.abort();
    t.equal(await untilReleased(held), 0, 'opened, never iterated, aborted');
    await t.rejects(origin.read(key, whole, version, AbortSignal.abort()), 'aborted before it began');
  });

  t.test('bytes are of one version, even if the recording is replaced meanwhile', async (t) => {
    const { origin, put, held } = await make(t);
    const versions = [pattern(6 * megabyte, 1), pattern(6 * megabyte, 2)] as const;
    const key = await put('e.wav', versions[0]);
    const version = await origin.stat(key);
    const whole = { first: 0, last: 6 * megabyte - 1 };
    const chunks: Buffer[] = [];
    const reading = (async () => {
      for await (const chunk of await origin.read(key, whole, version, awake())) {
        if (chunks.length === 0) await put('e.wav', versions[1]);
        chunks.push(Buffer.from(chunk));
      }
      return 'whole';
    })();
    const outcome = await reading.catch((error) => (isProblem(error) ? error.code : String(error)));
    const got = Buffer.concat(chunks);
    t.ok(['whole', 'version_changed'].includes(outcome), outcome);
    t.ok(got.equals(versions[0].subarray(0, got.length)), 'no byte of the new version');
    if (outcome === 'whole') t.equal(got.length, versions[0].length);

    const later = await readAll(origin, key, { first: 0, last: 999 }, version).catch((error) => error.code);
    t.ok(
      later === 'version_changed' || later.equals(versions[0].subarray(0, 1000)),
      'the old etag never gives new bytes',
    );
    t.equal(await untilReleased(held), 0);
  });

  t.test('a store writes, rejects and removes', async (t) => {
    const { store, origin, held } = await make(t);
    if (!store) return t.pass('read only');
    const all = { first: 0, last: 99_999 };
    const bytes = pattern(100_000);
    const written = await store.write('new/one.wav', inChunks(bytes));
    t.same(await origin.stat('new/one.wav'), written, 'write returns what stat returns');
    t.ok((await readAll(origin, 'new/one.wav', all, written)).equals(bytes));

    t.equal(
      await codeOf(store.write('new/one.wav', inChunks(pattern(5, 1)))),
      'conflict',
      'a key is written once',
    );
    t.ok((await readAll(origin, 'new/one.wav', all, written)).equals(bytes), 'the first one stays');

    await store.remove('new/one.wav');
    await store.remove('new/one.wav');
    await store.remove('never/was.wav');
    t.equal(await codeOf(store.stat('new/one.wav')), 'not_found');
    t.equal(await codeOf(readAll(origin, 'new/one.wav', all, written)), 'not_found');
    await store.write('new/one.wav', inChunks(bytes));
    t.equal((await store.stat('new/one.wav')).size, 100_000, 'a removed key is free again');
    t.equal(
      (await store.write('new/empty', inChunks(Buffer.alloc(0)))).size,
      0,
      'an empty recording can be stored',
    );
    t.equal(await untilReleased(held), 0);
  });

  t.test('a write that fails or is aborted leaves nothing, and its key is free', async (t) => {
    const { store, held } = await make(t);
    if (!store) return t.pass('read only');
    const breaking = (async function* () {
      yield pattern(7 * megabyte);
      throw new Error('the upload broke');
    })();
    t.equal(await codeOf(store.write('broken.wav', breaking)), 'Error: the upload broke');
    t.equal(await codeOf(store.stat('broken.wav')), 'not_found');

    const abortion = new AbortController();
    const aborting = (async function* () {
      yield pattern(7 * megabyte);
      abortion.abort();
      yield pattern(7 * megabyte);
    })();
    await t.rejects(store.write('broken.wav', aborting, abortion.signal));
    t.equal(await codeOf(store.stat('broken.wav')), 'not_found');

    await store.write('broken.wav', inChunks(pattern(10)));
    t.equal((await store.stat('broken.wav')).size, 10);
    t.equal(await untilReleased(held), 0);
  });

  t.test('64 MB are written and read in bounded memory', async (t) => {
    const { store } = await make(t);
    if (!store) return t.pass('read only');
    const bytes = pattern(64 * megabyte);
    const before = bufferBytes();
    let peak = 0;
    let chunks = 0;
    const measure = () => {
      if (chunks++ % 64 === 0) peak = Math.max(peak, bufferBytes() - before);
    };
    const version = await store.write('big.wav', inChunks(bytes, measure));
    const whole = { first: 0, last: bytes.length - 1 };
    let position = 0;
    for await (const chunk of await store.read('big.wav', whole, version, awake())) {
      if (!bytes.subarray(position, position + chunk.length).equals(chunk))
        return t.fail(`differs after ${position}`);
      position += chunk.length;
      measure();
    }
    t.equal(position, bytes.length);
    t.ok(peak < bytes.length / 2, `${peak} bytes of buffers at the most`);
  });
}

async function* inChunks(bytes: Buffer, onChunk = () => {}): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) {
    onChunk();
    yield bytes.subarray(at, at + 65_536);
  }
}
