import t from 'tap';
import { Buffers } from '../../src/origins/buffers.ts';

const [small, large] = [32 * 1024, 512 * 1024];

t.test('the size depends on what is wanted; 32 large buffers are in use at most', async (t) => {
  const buffers = new Buffers();
  t.same(
    [1, small, small + 1, 30_000_000].map((bytes) => buffers.take(bytes).length),
    [small, small, large, large],
  );
  const more = Array.from({ length: 40 }, () => buffers.take(large));
  t.equal(more.filter(({ length }) => length === large).length, 30);
  t.equal(buffers.inUse, 44);
  for (const buffer of more) buffers.release(buffer);
  t.equal(buffers.inUse, 4);
});

t.test('a released buffer is used again', async (t) => {
  const buffers = new Buffers();
  for (const bytes of [small, large]) {
    const first = buffers.take(bytes);
    buffers.release(first);
    t.equal(buffers.take(bytes), first);
  }
});

t.test('a buffer is exchanged only for one of another size', async (t) => {
  const buffers = new Buffers();
  const first = buffers.take(large);
  t.equal(buffers.exchange(first, small + 1), first);
  const second = buffers.exchange(first, small);
  t.equal(second.length, small);
  t.equal(buffers.exchange(second, 5), second);
  t.equal(buffers.exchange(second, large), first, 'the one that was released');
  t.equal(buffers.inUse, 1);
});
