import t from 'tap';
import { eachEngine, outcomeOf, put, recording } from '../contracts/db.ts';

await eachEngine(t, 'keys that no recording owns', async (t, place) => {
  const { catalog } = await place.worker();
  const stale = async () => (await catalog.staleUploads()).sort();

  await catalog.beginUpload('under-way', 60_000);
  await catalog.beginUpload('ended', 0);
  await catalog.endUpload('ended');
  await catalog.beginUpload('renewed', 0);
  await catalog.renewUpload('renewed', 60_000);
  t.same(await stale(), [], 'none while uploads are alive');

  await catalog.beginUpload('died', 0);
  t.same(await stale(), ['died'], 'an upload whose lease ran out');
  t.same(await stale(), ['died'], 'given again until it is ended');
  await t.rejects(catalog.renewUpload('died', 60_000), { code: 'busy' }, 'it cannot come to life again');
  t.equal(await outcomeOf(catalog.put(recording({ key: 'died' }), { replace: false })), 'busy');
  t.equal(await catalog.get('acme', 'call-1'), undefined, 'nor become a recording');
  await catalog.endUpload('died');

  await put(catalog, recording({ key: 'first' }));
  await put(catalog, recording({ key: 'second', sha256: 'b' }), true);
  t.same(await stale(), ['first'], 'audio that was replaced');
  await catalog.endUpload('first');
  t.equal((await catalog.remove('acme', 'call-1'))?.key, 'second');
  t.same(await stale(), ['second'], 'audio that was removed');
  await catalog.endUpload('second');

  await catalog.put(recording({ origin: 'http', key: 'https://vendor.example/1' }), { replace: false });
  await catalog.remove('acme', 'call-1');
  t.same(await stale(), [], 'never what is only referred to');
});
