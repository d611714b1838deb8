import { join } from 'node:path';
import t from 'tap';
import { Buffers } from '../../src/origins/buffers.ts';
import { FileStore } from '../../src/origins/file/file.ts';
import { MovingStore } from '../../src/origins/moving.ts';
import { codeOf, originContract, pattern, readAll, type Tap } from '../contracts/origin.ts';
import { filesBelow, replaceFile } from '../files.ts';

function make(t: Tap) {
  const folder = t.testdir();
  const buffers = new Buffers();
  const [before, after] = ['before', 'after'].map((name) => {
    const store = new FileStore({ root: join(folder, name), buffers });
    t.teardown(() => store.close());
    return store;
  }) as [FileStore, FileStore];
  const store = new MovingStore(after, [before, after]);
  const putInto = (place: string) => async (name: string, bytes: Uint8Array) => {
    await replaceFile(join(folder, place, name), bytes);
    return name;
  };
  return {
    folder,
    before,
    after,
    store,
    origin: store,
    missing: 'no/such.wav',
    held: () => buffers.inUse,
    putInto,
  };
}

for (const place of ['before', 'after']) {
  t.test(`the contract, with recordings in the store ${place}`, async (t) => {
    originContract(t, async (t) => {
      const harness = make(t);
      return { ...harness, put: harness.putInto(place) };
    });
  });
}

t.test('writes go to the new store, and a removal removes from both', async (t) => {
  const { folder, store, after, putInto } = make(t);
  await store.write(
    'new.wav',
    (async function* () {
      yield pattern(100);
    })(),
  );
  t.equal((await after.stat('new.wav')).size, 100);
  const old = await putInto('before')('old.wav', pattern(100));
  const version = await store.stat(old);
  t.ok((await readAll(store, old, { first: 0, last: 99 }, version)).equals(pattern(100)));
  for (const key of ['new.wav', 'old.wav']) await store.remove(key);
  t.same(await filesBelow(folder), []);
  t.equal(await codeOf(store.stat(old)), 'not_found');
});
