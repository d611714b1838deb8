import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { Block, blockBytes } from '../../../src/origins/cache/block.ts';
import { BlockCache } from '../../../src/origins/cache/block-cache.ts';
import { Disk, removeBlocks } from '../../../src/origins/cache/disk.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import { pattern, readAll, untilReleased } from '../../contracts/origin.ts';
import { CountingOrigin } from './counting.ts';

/** A block with these bytes. Without bytes, it is one of `length` bytes to read into. */
function blockOf(id: string, bytes: Uint8Array = Buffer.alloc(0), length = bytes.length): Block {
  const block = new Block(id, length, false, Buffer.alloc(blockBytes));
  block.slab.set(bytes);
  block.arrived = bytes.length;
  return block;
}

const size = 5_000_000;
const bytes = pattern(blockBytes);

t.test('a block is read as it was written, also after a restart', async (t) => {
  const folder = join(t.testdir(), 'blocks');
  const disk = await Disk.open(folder, 10 * blockBytes);
  await disk.write(blockOf('a', bytes), size);
  await disk.write(blockOf('tail', bytes.subarray(0, 77)), size);
  for (const opened of [disk, await Disk.open(folder, 10 * blockBytes)]) {
    const [a, tail] = [blockOf('a', undefined, blockBytes), blockOf('tail', undefined, 77)];
    t.ok(opened.has('a') && (await opened.read(a, size)) && a.slab.equals(bytes));
    t.equal(a.arrived, blockBytes);
    t.ok((await opened.read(tail, size)) && tail.slab.subarray(0, 77).equals(bytes.subarray(0, 77)));
    t.notOk(opened.has('b') || (await opened.read(blockOf('b'), size)));
  }
  const [name] = await readdir(folder);
  t.equal((await stat(join(folder, name!))).mode & 0o777, 0o600);
});

t.test('a damaged block is a miss, and its file is removed', async (t) => {
  const damages: [string, (path: string) => Promise<unknown>][] = [
    ['cut short', (path) => truncate(path, 1000)],
    ['cut in its header', (path) => truncate(path, 7)],
    ['empty', (path) => truncate(path, 0)],
    ['of zeros, as after a power cut', (path) => writeFile(path, Buffer.alloc(blockBytes + 20))],
    ['one bit flipped', async (path) => writeFile(path, flip(await readFile(path), 500_000))],
    ['one bit of its size flipped', async (path) => writeFile(path, flip(await readFile(path), 12))],
  ];
  for (const [name, damage] of damages) {
    const folder = t.testdir();
    const disk = await Disk.open(folder, 10 * blockBytes);
    await disk.write(blockOf('a', bytes), size);
    await damage(join(folder, (await readdir(folder))[0]!));
    t.equal(await disk.read(blockOf('a', undefined, blockBytes), size), false, name);
    t.same(await readdir(folder), []);
    t.notOk(disk.has('a'));
  }
  function flip(content: Buffer, at: number): Buffer {
    content[at]! ^= 4;
    return content;
  }
});

t.test('the least recently used block is evicted, and a smaller limit evicts more', async (t) => {
  const folder = t.testdir();
  const disk = await Disk.open(folder, 4 * (blockBytes + 20));
  for (const id of ['a', 'b', 'c', 'd']) await disk.write(blockOf(id, bytes), size);
  await disk.read(blockOf('a', undefined, blockBytes), size);
  await disk.write(blockOf('e', bytes), size);
  t.same(
    ['a', 'b', 'c', 'd', 'e'].filter((id) => disk.has(id)),
    ['a', 'c', 'd', 'e'],
  );
  t.equal((await readdir(folder)).length, 4);
  await disk.remove('c');
  t.equal((await readdir(folder)).length, 3);
  await Disk.open(folder, 2 * (blockBytes + 20));
  t.equal((await readdir(folder)).length, 2);
});

t.test('two processes can share the folder', async (t) => {
  const folder = t.testdir();
  const [one, two] = [await Disk.open(folder, 10 * blockBytes), await Disk.open(folder, 10 * blockBytes)];
  await Promise.all([one.write(blockOf('a', bytes), size), two.write(blockOf('a', bytes), size)]);
  await one.write(blockOf('b', bytes), size);
  await two.remove('b');
  t.equal(await one.read(blockOf('b', undefined, blockBytes), size), false, 'removed by the other');
  const opened = await Disk.open(folder, 10 * blockBytes);
  t.ok((await readdir(folder)).length <= 1);
  for (const disk of [one, two, opened]) {
    const a = blockOf('a', undefined, blockBytes);
    t.ok(!(await disk.read(a, size)) || a.slab.equals(bytes), 'whole or a miss');
  }
});

t.test('each process reads what the other has written', async (t) => {
  const folder = t.testdir();
  const [one, two] = [await Disk.open(folder, 10 * blockBytes), await Disk.open(folder, 10 * blockBytes)];
  await one.write(blockOf('a', bytes), size);
  t.ok(two.has('a'));
  const a = blockOf('a', undefined, blockBytes);
  t.ok((await two.read(a, size)) && a.slab.equals(bytes));
  await two.remove('a');
  t.notOk(two.has('a'));
  t.equal(
    await one.read(blockOf('a', undefined, blockBytes), size),
    false,
    'and not what the other has removed',
  );
  t.notOk(one.has('a'));
});

t.test('processes that share the folder have one limit together, and start with all that fits', async (t) => {
  for (const processes of [2, 4]) {
    const folder = t.testdir();
    const share = 3;
    const limit = share * processes;
    const open = () => Disk.open(folder, share * (blockBytes + 20), processes);
    const files = () => readdirSync(folder).length;
    const before = await Disk.open(folder, 100 * blockBytes);
    for (let i = 0; i < limit + 5; i++) await before.write(blockOf(`old ${i}`, bytes.subarray(0, 9)), size);
    const disks = [];
    for (let i = 0; i < processes; i++) disks.push(await open());
    t.equal(files(), limit, 'all that fits after a restart');

    let most = 0;
    for (const [i, disk] of disks.entries()) {
      for (let n = 0; n < 4 * limit; n++) {
        await disk.read(blockOf(`0 ${n}`, undefined, 9), size); // written by the first process, if it is still there
        await disk.write(blockOf(`${i} ${n}`, bytes.subarray(0, 9)), size);
        most = Math.max(most, files());
      }
    }
    t.ok(most <= limit + 1, `${most} at most, and ${limit} fit`);
    const kept = files();
    await open();
    t.equal(files(), kept, 'a process that starts anew evicts nothing');
  }
});

t.test('a process does not remove what the other is writing', async (t) => {
  const folder = t.testdir();
  const [one, two] = [await Disk.open(folder, 10 * blockBytes), await Disk.open(folder, 10 * blockBytes)];
  for (let i = 0; i < 20; i++) {
    const id = String(i);
    await Promise.all([one.write(blockOf(id, bytes), size), two.write(blockOf(id, bytes), size)]);
    t.ok(one.has(id) && two.has(id), `block ${i} is kept`);
    t.ok(await one.read(blockOf(id, undefined, blockBytes), size));
    await one.remove(id);
  }
});

t.test('a block that is removed while it is written is not there afterwards', async (t) => {
  const folder = t.testdir();
  const disk = await Disk.open(folder, 10 * blockBytes);
  const writing = disk.write(blockOf('a', bytes), size);
  await disk.remove('a');
  await writing;
  t.same(await readdir(folder), []);
  t.notOk(disk.has('a'));
  await disk.write(blockOf('a', bytes), size);
  t.ok(disk.has('a'), 'it can be written again');
});

t.test('what a crash left is removed, and a folder that is gone is no error', async (t) => {
  const folder = t.testdir({ [`${'a'.repeat(64)}.${randomUUID()}.part`]: 'half', 'not-ours.txt': 'stays' });
  await Disk.open(folder, 10 * blockBytes);
  t.same(await readdir(folder), ['not-ours.txt']);
  const gone = await Disk.open(join(folder, 'x'), 10 * blockBytes);
  await rm(join(folder, 'x'), { recursive: true });
  await gone.write(blockOf('a', bytes), size);
  t.notOk(gone.has('a'));
});

t.test('after a restart without its origin, the cache plays what the disk holds', async (t) => {
  const far = new CountingOrigin(t);
  const folder = join(t.testdir(), 'disk');
  const recording = pattern(6 * blockBytes + 99);
  const whole = { first: 0, last: recording.length - 1 };
  await far.put('a.wav', recording);
  const version = await far.stat('a.wav');
  async function start() {
    const metrics = createMetrics();
    const disk = await Disk.open(folder, 100 * blockBytes);
    return { metrics, cache: new BlockCache(far, { name: 'store', memory: new Memory(0), disk, metrics }) };
  }

  const first = await start();
  for (let at = 0; at < recording.length; at += blockBytes) {
    await readAll(first.cache, 'a.wav', { first: at, last: at }, version);
    await untilReleased(() => far.open);
  }
  const unwritten = () => 7 - readdirSync(folder).filter((name) => !name.endsWith('.part')).length;
  t.equal(await untilReleased(unwritten), 0, 'all seven blocks are on disk');

  far.isDown = true;
  const second = await start();
  t.ok((await readAll(second.cache, 'a.wav', whole, version)).equals(recording));
  const { values } = await second.metrics.blocks.get();
  t.equal(values.find(({ labels }) => labels.outcome === 'disk')?.value, 7);

  far.isDown = false;
  const before = far.reads.length;
  for (const name of await readdir(folder)) await truncate(join(folder, name), 5000);
  const third = await start();
  t.ok(
    (await readAll(third.cache, 'a.wav', whole, version)).equals(recording),
    'damaged blocks come from the origin',
  );
  t.ok(far.reads.length > before);
});

/** A folder with blocks of ours and files of others. */
const mixed = (t: Test) =>
  t.testdir({
    blocks: {
      ['0'.repeat(64)]: 'a block',
      [`${'1'.repeat(64)}.${randomUUID()}.part`]: 'a block that is being written',
      'thesis.doc': 'foreign',
      'video.part': 'foreign',
      ['2'.repeat(63)]: 'foreign',
      ['3'.repeat(64)]: { inside: 'foreign' },
      ['4'.repeat(64)]: t.fixture('symlink', '../elsewhere'),
    },
    elsewhere: { ['5'.repeat(64)]: 'foreign' },
    linked: t.fixture('symlink', 'elsewhere'),
  });
const foreign = ['2'.repeat(63), '3'.repeat(64), '4'.repeat(64), 'thesis.doc', 'video.part'];

t.test('only our own blocks are removed', async (t) => {
  const folder = mixed(t);
  await removeBlocks(join(folder, 'blocks'));
  t.same((await readdir(join(folder, 'blocks'))).sort(), foreign);
  await removeBlocks(join(folder, 'linked'));
  await removeBlocks(join(folder, 'missing'));
  t.same(await readdir(join(folder, 'elsewhere')), ['5'.repeat(64)]);
  t.same(await readdir(join(folder, 'blocks', '3'.repeat(64))), ['inside']);
});

t.test('a cache counts and evicts only its own blocks', async (t) => {
  const blocks = join(mixed(t), 'blocks');
  const disk = await Disk.open(blocks, 1.5 * blockBytes);
  t.same((await readdir(blocks)).sort(), ['0'.repeat(64), ...foreign]);
  for (const id of ['a', 'b', 'c']) await disk.write(blockOf(id, bytes), size);
  t.equal((await readdir(blocks)).length, foreign.length + 1);
  t.strictSame((await readdir(blocks)).filter((name) => foreign.includes(name)).sort(), foreign);
});
