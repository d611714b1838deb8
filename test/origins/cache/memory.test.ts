import t from 'tap';
import { Block, blockBytes } from '../../../src/origins/cache/block.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import { codeOf } from '../../contracts/origin.ts';

/** Puts a block into memory as a load does, and returns it. */
function bring(memory: Memory, id: string, { isEdge = false, isUsedTwice = false } = {}): Block {
  const block = new Block(id, blockBytes, isEdge, memory.take());
  block.filled = blockBytes;
  memory.keep(block, isUsedTwice);
  return block;
}

const held = (memory: Memory, ids: string[]) => ids.filter((id) => memory.get(id));
const names = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

t.test('no more slabs than fit, for any number of blocks', async (t) => {
  const memory = new Memory(20 * blockBytes);
  const slabs = new Set(names('a', 1000).map((id) => bring(memory, id).slab));
  t.equal(memory.slots, 20);
  t.equal(slabs.size, 20);
  t.same(held(memory, names('a', 1000)), names('a', 1000).slice(-20), 'the oldest blocks were evicted');
});

t.test('a block that was used again survives a scan of everything', async (t) => {
  const memory = new Memory(20 * blockBytes);
  for (const id of names('player', 10)) memory.touch(bring(memory, id));
  for (const id of names('scan', 500)) bring(memory, id);
  t.same(held(memory, names('player', 10)), names('player', 10));
  bring(memory, 'shared', { isUsedTwice: true });
  for (const id of names('more', 500)) bring(memory, id);
  t.ok(memory.get('shared'), 'a block that two wanted while it arrived counts as used again');
});

t.test('a block that was used again is evicted for those that were used again later', async (t) => {
  const memory = new Memory(20 * blockBytes);
  for (const id of names('old', 15)) memory.touch(bring(memory, id));
  for (const id of names('new', 15)) memory.touch(bring(memory, id));
  for (const id of names('scan', 50)) bring(memory, id);
  t.same(held(memory, names('old', 15)), []);
  t.same(held(memory, names('new', 15)), names('new', 15));
});

t.test('an edge of a recording passes through the queue twice', async (t) => {
  const memory = new Memory(20 * blockBytes);
  bring(memory, 'edge', { isEdge: true });
  bring(memory, 'inner');
  for (const id of names('a', 25)) bring(memory, id);
  t.ok(memory.get('edge'));
  t.notOk(memory.get('inner'));
  for (const id of names('b', 25)) bring(memory, id);
  t.notOk(memory.get('edge'));
});

t.test('a lent or pinned block is never overwritten, even after it is dropped', async (t) => {
  const memory = new Memory(16 * blockBytes);
  const lent = bring(memory, 'lent');
  const pinned = bring(memory, 'pinned');
  lent.slab.fill(7);
  t.ok(memory.lend(lent));
  memory.pin(pinned);
  memory.drop('lent');
  const slabs = new Set(names('a', 100).map((id) => bring(memory, id).slab));
  t.notOk(slabs.has(lent.slab) || slabs.has(pinned.slab));
  t.ok(memory.get('pinned'));
  t.equal(memory.lent, 1);
  memory.release(lent);
  t.equal(memory.lent, 0);
  t.equal(memory.take(), lent.slab, 'free once it is released');
});

t.test('a quarter of the blocks is lent at most, each to any number of readers', async (t) => {
  const memory = new Memory(16 * blockBytes);
  const blocks = names('a', 16).map((id) => bring(memory, id));
  t.same(
    blocks.map((block) => memory.lend(block)),
    blocks.map((_, i) => i < 4),
  );
  t.ok(memory.lend(blocks[0]!), 'a block that is lent already');
  t.equal(memory.lent, 4);
});

t.test('when all blocks are in use, there is none to take', async (t) => {
  const memory = new Memory(0);
  t.equal(memory.slots, 16, 'the minimum');
  for (const id of names('a', 16)) memory.pin(bring(memory, id));
  t.equal(await codeOf((async () => memory.take())()), 'busy');
});
