import t from 'tap';
import { moveKey } from '../../src/recordings/move-key.ts';
import { eachEngine, outcomeOf, put, recording } from '../contracts/db.ts';

eachEngine(t, 'the digests of the blocks live as long as the audio that they are of', async (t, place) => {
  const worker = await place.worker();
  const { catalog, changes, storeKeys, db } = worker;
  const digestsOf = async () => (await catalog.read('acme', 'call-1'))?.blockDigests;
  const keys = async () =>
    (await db.kysely.selectFrom('block_digests').select('key').orderBy('key').execute()).map(
      ({ key }) => key,
    );

  await put(worker, recording({ key: 'old', blockDigests: 'aa' }));
  t.equal(await digestsOf(), 'aa');
  t.equal((await catalog.get('acme', 'call-1'))?.blockDigests, 'aa');

  const replacement = recording({ key: 'new', sha256: 'b', etag: '"b"', blockDigests: 'bb' });
  t.equal(await outcomeOf(put(worker, replacement, true)), 'replaced');
  t.equal(await digestsOf(), 'bb');
  await storeKeys.delete('old');
  t.same(await keys(), ['new']);

  await storeKeys.add('moved', 60_000);
  const { id } = (await catalog.read('acme', 'call-1'))!;
  t.ok(await moveKey(changes, { id, key: 'new' }, { key: 'moved', originEtag: '"m"' }, 0));
  t.equal(await digestsOf(), 'bb');
  await storeKeys.delete('new');
  t.same(await keys(), ['moved']);

  await catalog.remove('acme', 'call-1');
  await storeKeys.delete('moved');
  t.same(await keys(), []);
});
