import t from 'tap';
import { countByParty, findByParty } from '../../src/recordings/call-parties.ts';
import { Holds } from '../../src/recordings/holds.ts';
import { eachEngine, failing, put, recording } from '../contracts/db.ts';

const contact = { objectType: 'contacts', objectId: '7' };

eachEngine(t, 'the parties of a recording are those of its present call', async (t, place) => {
  const worker = await place.worker();
  const { catalog, db } = worker;
  const parties = async () =>
    (await db.kysely.selectFrom('call_parties').select('party').execute()).map(({ party }) => party).sort();

  await catalog.reject({ ...recording(), call: { from: '+1' }, report: failing });
  t.same(await parties(), ['number:1'], 'rejected');
  await catalog.reject({ ...recording(), call: { from: '+2' }, report: failing });
  t.same(await parties(), ['number:2'], 'rejected again');
  await put(worker, recording({ call: { from: '+3', to: '+4', associations: [contact] } }));
  t.same(await parties(), ['contact:7', 'number:3', 'number:4'], 'accepted');
  await catalog.reject({ ...recording(), call: { from: '+5' }, report: failing });
  t.same(await parties(), ['contact:7', 'number:3', 'number:4'], 'rejected audio does not change the call');
  await catalog.updateCall('acme', 'call-1', { from: '+6' });
  t.same(await parties(), ['number:6'], 'updated');
  await put(worker, recording({ sha256: 'b', call: { from: '+7' } }), true);
  t.same(await parties(), ['number:7'], 'replaced');
  await put(worker, recording({ sha256: 'c', call: null }), true);
  t.same(await parties(), [], 'replaced without a call');
  await catalog.updateCall('acme', 'call-1', { from: '+8' });
  await catalog.remove('acme', 'call-1');
  t.same(await parties(), [], 'removed');
});

eachEngine(t, 'recordings are found by a party, page by page', async (t, place) => {
  const worker = await place.worker();
  const { kysely } = worker.db;
  const call = { from: '+49 30 1', associations: [contact] };
  for (let index = 0; index < 7; index++) await put(worker, recording({ externalId: `call-${index}`, call }));
  await put(worker, recording({ accountId: 'other', call }));
  await put(worker, recording({ accountId: 'other', externalId: 'unrelated', call: { from: '+49 30 12' } }));
  const holds = new Holds(worker.db);
  await holds.place({ accountId: 'acme', externalId: 'call-3' }, 'r');
  const query = { party: 'number:49301', isHeld: false };
  const pages: string[][] = [];
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page = await findByParty(kysely, query, { after, limit: 3 });
    pages.push(page.matches.map(({ accountId, externalId }) => `${accountId}/${externalId}`));
    after = page.last;
  }
  t.same(pages.flat().sort(), [
    'acme/call-0',
    'acme/call-1',
    'acme/call-2',
    'acme/call-4',
    'acme/call-5',
    'acme/call-6',
    'other/call-1',
  ]);
  t.equal(await countByParty(kysely, query), 7);
  t.equal(await countByParty(kysely, { ...query, accountId: 'other' }), 1);
  t.equal(await countByParty(kysely, { ...query, party: 'contact:7', isHeld: true }), 1);
  await holds.place({ accountId: 'other' }, 'r');
  t.equal(await countByParty(kysely, { ...query, accountId: 'other' }), 0);
  t.equal(await countByParty(kysely, { ...query, isHeld: true }), 2);
});
