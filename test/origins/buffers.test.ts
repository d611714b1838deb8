import t from 'tap';
import { Buffers } from '../../src/origins/buffers.ts';

const [small, large] = [32 * 1024, 512 * 1024];

t.test('small and large by what is wanted, large ones for 32 at a time', async (t) => {
  const buffers = new Buffers();
  t.same(
    [1, small, small + 1, 30_000_000].map((bytes) => buffers.take(bytes).length),
    [small, small, large, large],
  );
  const more = Array.from({ length: 40 }, () => buffers.take(large));
  t.equal(more.filter(({ length }) => length === large).length, 30);
  t.equal(buffers.lent, 44);
  for (const buffer of more) buffers.give(buffer);
  t.equal(buffers.lent, 4);
});

t.test('what came back goes out again', async (t) => {
  const buffers = new Buffers();
  for (const bytes of [small, large]) {
    const first = buffers.take(bytes);
    buffers.give(first);
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
  t.equal(buffers.exchange(second, large), first, 'the one that was given back');
  t.equal(buffers.lent, 1);
});
