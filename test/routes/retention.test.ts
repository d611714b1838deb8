import t from 'tap';
import { filesBelow } from '../files.ts';
import { startGateway } from '../gateway.ts';

const file = 'inbound-caller1.flac';
const other = 'inbound-caller1.wav';
const dayMs = 86_400_000;

type Json = Record<string, unknown>;

async function start(t: Parameters<typeof startGateway>[0], settings = {}) {
  const gateway = await startGateway(t, settings);
  const send = async (method: string, path: string, body?: object) => {
    const headers = { 'content-type': 'application/json' };
    const response = await gateway.v1(path, { method, ...(body && { headers, body: JSON.stringify(body) }) });
    const text = await response.text();
    return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Json };
  };
  return { ...gateway, send };
}

t.test('a held recording is neither erased nor replaced, and its URLs stay valid', async (t) => {
  const { send, ingest, streamOf } = await start(t);
  const url = await streamOf(file, { externalId: 'a' });
  const placed = await send('PUT', '/recordings/acct/a/hold', { reason: 'Case 12' });
  t.equal(placed.status, 200);
  t.match(placed.body, { on: 'recording', reason: 'Case 12', placedAt: /^\d{4}-/ });
  t.match((await send('GET', '/recordings/acct/a')).body, { hold: placed.body });

  const erased = await send('DELETE', '/recordings/acct/a');
  t.equal(erased.status, 409);
  t.match(erased.body, { code: 'held', hold: { on: 'recording', reason: 'Case 12' }, detail: /Case 12/ });
  const replaced = await ingest(other, { externalId: 'a', replace: true });
  t.match([replaced.status, ((await replaced.json()) as Json).code], [409, 'held']);
  t.equal((await fetch(url)).status, 200, 'an erasure that was denied revokes nothing');

  t.equal((await send('DELETE', '/recordings/acct/a/hold')).status, 204);
  t.equal((await send('DELETE', '/recordings/acct/a/hold')).status, 404);
  t.equal((await send('DELETE', '/recordings/acct/a')).status, 204);
});

t.test('a hold on an account, and how long it keeps its recordings', async (t) => {
  const { send, ingest } = await start(t, { retention: '30d' });
  await ingest(file, { externalId: 'a' });
  const { body } = await send('GET', '/recordings/acct/a');
  t.equal(Date.parse(String(body.expiresAt)) - Date.parse(String(body.createdAt)), 30 * dayMs);
  t.same((await send('GET', '/accounts/acct')).body, {
    accountId: 'acct',
    retention: 'default',
    retentionInForce: '30d',
  });
  const set = await send('PUT', '/accounts/acct', { retention: '90d' });
  t.same(set, { status: 200, body: { accountId: 'acct', retention: '90d', retentionInForce: '90d' } });
  t.match((await send('PUT', '/accounts/acct', { retention: '0' })).body, { retention: '0' });
  t.equal((await send('GET', '/recordings/acct/a')).body.expiresAt, undefined, 'for ever');
  t.match((await send('PUT', '/accounts/acct', { retention: 'default' })).body, { retention: 'default' });

  t.equal((await send('PUT', '/accounts/acct/hold', { reason: 'Audit' })).status, 200);
  t.match((await send('GET', '/accounts/acct')).body, { hold: { on: 'account', reason: 'Audit' } });
  const held = (await send('GET', '/recordings/acct/a')).body;
  t.match(held, { hold: { on: 'account', reason: 'Audit' } });
  t.equal(held.expiresAt, undefined, 'what is held does not end');
  t.equal((await send('DELETE', '/recordings/acct/a')).status, 409);
  t.equal((await send('DELETE', '/accounts/acct/hold')).status, 204);

  for (const [path, input] of [
    ['/accounts/acct', { retention: '12m' }],
    ['/accounts/acct', { retention: 'long' }],
    ['/accounts/acct', { retention: null }],
    ['/accounts/acct', {}],
    ['/accounts/acct/hold', {}],
    ['/recordings/acct/a/hold', { reason: '' }],
  ] as const)
    t.match(await send('PUT', path, input), { status: 400, body: { code: 'invalid_request' } }, path);
  t.equal((await send('PUT', '/recordings/acct/unknown/hold', { reason: 'r' })).status, 404);
  t.equal((await send('PUT', '/accounts/unknown/hold', { reason: 'r' })).status, 404);
});

t.test('a person is erased by a number in any spelling, in every account, but what is held', async (t) => {
  const { send, ingest, dataDir } = await start(t);
  const calls: [accountId: string, externalId: string, call: object][] = [
    ['one', 'from', { from: '+49 30 1234' }],
    ['one', 'to', { to: '0049301234' }],
    ['one', 'held', { to: '+49301234' }],
    ['two', 'sip', { from: 'sip:+49301234@pbx.example' }],
    ['two', 'longer', { from: '+493012345' }],
    ['two', 'contact', { associations: [{ objectType: 'contacts', objectId: '7' }] }],
    ['three', 'other portal', { associations: [{ objectType: 'contacts', objectId: '7' }] }],
  ];
  for (const [accountId, externalId, call] of calls) await ingest(file, { accountId, externalId, call });
  await send('PUT', '/recordings/one/held/hold', { reason: 'Case 12' });
  const list = async () => {
    const { recordings } = (await send('GET', '/recordings')).body as { recordings: Json[] };
    return recordings.map(({ externalId }) => externalId).sort();
  };
  const names = (matches: unknown) => (matches as Json[]).map(({ externalId }) => externalId).sort();

  const dry = await send('POST', '/erasures', { number: '0049 30 1234', dryRun: true });
  t.match(dry, { status: 200, body: { dryRun: true, count: 4, remaining: 0 } });
  t.same(names(dry.body.recordings), ['from', 'sip', 'to']);
  t.same(names(dry.body.held), ['held']);
  t.equal((await list()).length, 7, 'a dry run erases nothing');

  const one = await send('POST', '/erasures', { number: '+49301234', accountId: 'two' });
  t.same(names(one.body.recordings), ['sip']);
  const all = await send('POST', '/erasures', { number: '+49301234' });
  t.match(all.body, { dryRun: false, count: 3, remaining: 0 });
  t.same(names(all.body.recordings), ['from', 'to']);
  t.same(names(all.body.held), ['held']);
  const contact = await send('POST', '/erasures', { contact: '7', accountId: 'two' });
  t.same(names(contact.body.recordings), ['contact']);
  t.same(await list(), ['held', 'longer', 'other portal']);
  t.equal((await filesBelow(`${dataDir}/recordings`)).length, 3);

  for (const body of [
    {},
    { contact: '7' },
    { number: 'anonymous' },
    { number: '1', contact: '7', accountId: 'two' },
  ])
    t.match(await send('POST', '/erasures', body), { status: 400, body: { code: 'invalid_request' } });
});

t.test('one request erases two hundred recordings, and says how many remain', async (t) => {
  const { send, ingest, parts } = await start(t);
  await ingest('mono.wav', { externalId: 'rejected' });
  const [row] = await parts.db.kysely.selectFrom('recordings').selectAll().execute();
  for (let index = 0; index < 203; index++) {
    const id = `copy-${index}`;
    await parts.db.kysely
      .insertInto('recordings')
      .values({ ...row!, id, external_id: id })
      .execute();
    await parts.db.kysely
      .insertInto('call_parties')
      .values({ recording_id: id, party: 'number:1' })
      .execute();
  }
  const first = await send('POST', '/erasures', { number: '+1' });
  t.match(first.body, { count: 203, remaining: 3 });
  t.equal((first.body.recordings as object[]).length, 200);
  t.match((await send('POST', '/erasures', { number: '+1' })).body, { count: 3, remaining: 0 });
  t.match((await send('POST', '/erasures', { number: '+1' })).body, { count: 0, recordings: [] });
});
