import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { blockBytes } from '../../../src/origins/cache/block.ts';
import { BlockCache } from '../../../src/origins/cache/block-cache.ts';
import { Disk } from '../../../src/origins/cache/disk.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import type { ByteRange, Origin, Version } from '../../../src/origins/origin.ts';
import { codeOf, pattern, readAll, type Tap } from '../../contracts/origin.ts';
import { until } from '../../until.ts';

const bytes = pattern(3 * blockBytes + 4321);
const whole = { first: 0, last: bytes.length - 1 };
const blocks = [0, 1, 2, 3].map((index) => bytes.subarray(index * blockBytes, (index + 1) * blockBytes));
const blockDigests = blocks.map((block) => createHash('sha256').update(block).digest('hex')).join('');
const version: Version = { etag: '"a"', size: bytes.length, blockDigests };

/** An origin in memory. `flips` is how many of its next reads of each position have a bit flipped there. */
function rottingOrigin(flips: Map<number, number>) {
  const reads: ByteRange[] = [];
  const origin: Origin = {
    stat: async () => ({ size: bytes.length, etag: '"a"', lastModified: new Date(0) }),
    read: async (_key, range) => {
      reads.push(range);
      const body = Buffer.from(bytes.subarray(range.first, range.last + 1));
      for (const [position, times] of flips) {
        if (times === 0 || position < range.first || position > range.last) continue;
        body[position - range.first]! ^= 1;
        flips.set(position, times - 1);
      }
      return (async function* () {
        for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536);
      })();
    },
  };
  return { origin, reads };
}

async function make(flips: [position: number, times: number][], folder?: string) {
  const { origin, reads } = rottingOrigin(new Map(flips));
  const metrics = createMetrics();
  const disk = folder === undefined ? undefined : await Disk.open(folder, 10 * (blockBytes + 100));
  const memory = new Memory(0);
  const cache = new BlockCache(origin, { name: 'store', memory, ...(disk && { disk }), metrics });
  const damaged = async () =>
    (await metrics.blocks.get()).values.find(({ labels }) => labels.outcome === 'damaged')?.value ?? 0;
  return { cache, reads, damaged };
}

t.test('a block with a flipped bit is fetched again, and nobody gets the wrong bytes', async (t) => {
  const { cache, reads, damaged } = await make([
    [blockBytes + 7, 1],
    [bytes.length - 1, 1],
  ]);
  t.ok((await readAll(cache, 'a', whole, version)).equals(bytes));
  t.equal(await damaged(), 2);
  t.same(
    reads.filter(({ first, last }) => last - first < blockBytes),
    [
      { first: blockBytes, last: 2 * blockBytes - 1 },
      { first: 3 * blockBytes, last: bytes.length - 1 },
    ],
    'only these two, once more',
  );
  t.ok((await readAll(cache, 'a', whole, version)).equals(bytes));
});

t.test('a block that stays wrong is neither served nor kept', async (t) => {
  const { cache, reads } = await make([[blockBytes + 7, 3]]);
  const range = { first: blockBytes, last: blockBytes + 5 };
  t.equal(await codeOf(readAll(cache, 'a', range, version)), 'audio_damaged', 'not even the bytes before it');
  t.equal(reads.length, 2);
  const first = { first: 0, last: 99 };
  t.ok((await readAll(cache, 'a', first, version)).equals(bytes.subarray(0, 100)), 'other blocks play');
  t.ok(
    (await readAll(cache, 'a', range, version)).equals(bytes.subarray(range.first, range.last + 1)),
    'healed',
  );
});

t.test('the blocks before one that is damaged are delivered, and then the body breaks', async (t) => {
  const { cache } = await make([[2 * blockBytes, 2]]);
  let received = 0;
  const read = async () => {
    const body = await cache.read('a', whole, version, new AbortController().signal);
    for await (const chunk of body) received += chunk.length;
  };
  t.equal(await codeOf(read()), 'audio_damaged');
  t.equal(received, 2 * blockBytes);
});

t.test('without digests a block is used as it comes', async (t) => {
  const { cache, reads } = await make([[7, 1]]);
  const { blockDigests: _, ...unverified } = version;
  t.notOk((await readAll(cache, 'a', { first: 0, last: 9 }, unverified)).equals(bytes.subarray(0, 10)));
  t.equal(reads.length, 1);
});

/** The files of the disk cache, once there are `count`. */
async function filesOf(t: Tap, folder: string, count: number): Promise<string[]> {
  const files = () => readdirSync(folder).filter((name) => !name.endsWith('.part'));
  await until(() => files().length === count);
  t.equal(files().length, count);
  return files().map((name) => join(folder, name));
}

t.test('a block on disk with other bytes and a right checksum is not served', async (t) => {
  const folder = t.testdir();
  const before = await make([[blockBytes + 7, 9]], folder);
  const { blockDigests: _, ...unverified } = version;
  const range = { first: blockBytes, last: 2 * blockBytes - 1 };
  const right = bytes.subarray(range.first, range.last + 1);
  t.notOk(
    (await readAll(before.cache, 'a', range, unverified)).equals(right),
    'written by an unverified read',
  );
  await filesOf(t, folder, 1);

  const after = await make([], folder);
  t.ok((await readAll(after.cache, 'a', range, version)).equals(right));
  t.equal(await after.damaged(), 1);
  t.equal(after.reads.length, 1);
});

t.test('a block on disk under the name of another block is not served', async (t) => {
  const folder = t.testdir();
  const before = await make([], folder);
  const { blockDigests: _, ...unverified } = version;
  const [one, two] = [0, 1].map((index) => ({
    first: index * blockBytes,
    last: (index + 1) * blockBytes - 1,
  }));
  await readAll(before.cache, 'a', one!, unverified);
  await filesOf(t, folder, 1);
  await readAll(before.cache, 'a', two!, unverified);
  const [a, b] = (await filesOf(t, folder, 2)) as [string, string];
  const [bytesOfA, bytesOfB] = [readFileSync(a), readFileSync(b)];
  writeFileSync(a, bytesOfB);
  writeFileSync(b, bytesOfA);

  const after = await make([], folder);
  for (const range of [one!, two!]) {
    const right = bytes.subarray(range.first, range.last + 1);
    t.ok((await readAll(after.cache, 'a', range, unverified)).equals(right));
  }
  t.equal(after.reads.length, 2);
});
