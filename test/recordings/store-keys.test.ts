import t from 'tap';
import { Leases } from '../../src/db/leases.ts';
import { backupLease } from '../../src/recordings/store-keys.ts';
import { clock } from '../clock.ts';
import { eachEngine, outcomeOf, put, recording } from '../contracts/db.ts';

await eachEngine(t, 'which store keys have expired', async (t, place) => {
  const worker = await place.worker();
  const { catalog, storeKeys } = worker;
  const expired = async () => (await storeKeys.collectExpired()).sort();

  await storeKeys.add('pending', 60_000);
  await storeKeys.add('deleted', 0);
  await storeKeys.delete('deleted');
  await storeKeys.add('renewed', 0);
  await storeKeys.renew('renewed', 60_000);
  t.same(await expired(), [], 'none while every lease holds');

  await storeKeys.add('crashed', 0);
  t.same(await expired(), ['crashed'], 'a key whose lease ran out');
  t.same(await expired(), ['crashed'], 'it is returned again until it is deleted');
  await t.rejects(storeKeys.renew('crashed', 60_000), { code: 'busy' }, 'an expired key cannot be renewed');
  t.equal(await outcomeOf(catalog.put(recording({ key: 'crashed' }), { replace: false })), 'busy');
  t.equal(await catalog.get('acme', 'call-1'), undefined, 'and no recording can take it');
  await storeKeys.delete('crashed');

  await put(worker, recording({ key: 'first' }));
  await put(worker, recording({ key: 'second', sha256: 'b' }), true);
  t.same(await expired(), ['first'], 'the key of replaced audio');
  await storeKeys.delete('first');
  t.equal((await catalog.remove('acme', 'call-1'))?.key, 'second');
  t.same(await expired(), ['second'], 'the key of a removed recording');
  await storeKeys.delete('second');

  await catalog.put(recording({ origin: 'http', key: 'https://vendor.example/1' }), { replace: false });
  await catalog.remove('acme', 'call-1');
  t.same(await expired(), [], 'never the key of a recording by reference');
});

await eachEngine(t, 'replaced audio is kept while a backup runs, unless it is erased', async (t, place) => {
  const putForward = clock(t);
  const worker = await place.worker();
  const { catalog, storeKeys } = worker;
  const replace = async (externalId: string) => {
    await put(worker, recording({ externalId, key: `${externalId} first` }));
    await put(worker, recording({ externalId, key: `${externalId} second`, sha256: 'b' }), true);
  };
  const backup = new Leases(worker.db, 30_000);
  t.ok(await backup.take(backupLease));
  await replace('replaced');
  await replace('erased');
  await storeKeys.add('crashed', 0);
  t.same(await storeKeys.collectExpired(), ['crashed']);

  const erased = await catalog.remove('acme', 'erased');
  t.same((await storeKeys.collectExpired()).sort(), ['crashed', 'erased first', 'erased second']);
  t.same(await storeKeys.replacedOf(erased!.id), ['erased first']);
  putForward(30_001);
  t.ok((await storeKeys.collectExpired()).includes('replaced first'), 'until the lease of the backup ends');
  t.same(await storeKeys.collectExpired('replaced first'), ['replaced first']);
});
