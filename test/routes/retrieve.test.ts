import { createHmac } from 'node:crypto';
import t from 'tap';
import { startGateway } from '../gateway.ts';
import { rawRequest } from '../raw.ts';

const path = '/retrieve/authenticated/recordings';
const secret = 'client-secret-of-the-app';
const file = 'inbound-caller1.flac';

const gateway = await startGateway(t, { 'hubspot-app-id': '101' });
const keyed = `${gateway.url}/k/${gateway.parts.apiKeys.accessKey}${path}`;

const strange = ['a/b', 'a%2Fb', '100%', 'ключ', 'a b+c', '?#&=', '...', '😀', "it's", 'a;b:c', '%s'];
for (const externalId of ['plain', ...strange]) await gateway.ingest(file, { accountId: 'one', externalId });
await gateway.ingest(file, { accountId: 'one', externalId: 'shared' });
await gateway.ingest(file, { accountId: 'two', externalId: 'shared' });

async function request(
  url: string,
  init?: RequestInit,
): Promise<{ status: number; json: Record<string, string> }> {
  const response = await fetch(url, init);
  return { status: response.status, json: (await response.json()) as Record<string, string> };
}

t.test('the response is a URL that plays, and nothing else', async (t) => {
  const { status, json } = await request(`${keyed}/plain?appId=101&externalAccountId=one`);
  t.equal(status, 200);
  t.same(Object.keys(json), ['authenticatedUrl']);
  const audio = await fetch(json.authenticatedUrl!);
  t.equal(audio.status, 200);
  t.equal((await audio.arrayBuffer()).byteLength, Number(audio.headers.get('content-length')));
});

for (const externalId of strange) {
  t.test(`the id ${JSON.stringify(externalId)} is decoded exactly once`, async (t) => {
    const encoded = encodeURIComponent(externalId).replaceAll('.', '%2E');
    const target = `/k/${gateway.parts.apiKeys.accessKey}${path}/${encoded}?externalAccountId=one`;
    t.equal((await rawRequest(gateway.url, { target })).status, 200);
  });
}

t.test('a slash in the id may be sent without encoding', async (t) => {
  t.equal((await request(`${keyed}/a/b?externalAccountId=one`)).status, 200);
});

t.test('the query may be missing if the id is unique among the accounts', async (t) => {
  t.equal((await request(`${keyed}/plain`)).status, 200);
  t.equal((await request(`${keyed}/shared`)).status, 404);
  t.equal((await request(`${keyed}/shared?externalAccountId=two`)).status, 200);
});

const key = gateway.parts.apiKeys.accessKey;
const mismatches: [name: string, url: string][] = [
  ['an unknown id', `${keyed}/unknown?externalAccountId=one`],
  ['another account', `${keyed}/plain?externalAccountId=two`],
  ['another app', `${keyed}/plain?appId=102&externalAccountId=one`],
  ['a wrong access key', `${gateway.url}/k/${'x'.repeat(43)}${path}/plain?externalAccountId=one`],
  ['a shorter access key', `${gateway.url}/k/${key.slice(1)}${path}/plain?externalAccountId=one`],
  ['no access key', `${gateway.url}${path}/plain?externalAccountId=one`],
  ['an id of 8 KB', `${keyed}/${'x'.repeat(8192)}?externalAccountId=one`],
  ['an id with NUL', `${keyed}/plain%00?externalAccountId=one`],
];
const bodies = new Set<string>();
for (const [name, url] of mismatches) {
  t.test(`${name} gets the same 404 as every mismatch`, async (t) => {
    const { status, json } = await request(url);
    t.equal(status, 404);
    bodies.add(JSON.stringify(json));
    t.equal(bodies.size, 1, 'the body does not reveal which part was wrong');
  });
}

t.test('signature: only a request signed by HubSpot is allowed', async (t) => {
  const publicUrl = 'https://recordings.example.com';
  const signed = await startGateway(t, {
    'retrieve-auth': 'signature',
    'hubspot-client-secret': secret,
    'public-url': publicUrl,
  });
  await signed.ingest(file, { accountId: 'one', externalId: 'call 1' });
  const target = `${path}/call%201?appId=101&externalAccountId=one`;
  const sign = (timestamp: number, uri = publicUrl + target, key = secret) =>
    createHmac('sha256', key).update(`GET${uri}${timestamp}`).digest('base64');
  const now = Date.now();
  const cases: [name: string, status: number, signature: string | undefined, timestamp: number][] = [
    ['signed for the public URL', 200, sign(now), now],
    ['signed for the URL of the socket', 401, sign(now, signed.url + target), now],
    ['signed with another secret', 401, sign(now, publicUrl + target, 'other'), now],
    ['six minutes old', 401, sign(now - 360_000), now - 360_000],
    ['from the future', 401, sign(now + 3_600_000), now + 3_600_000],
    ['not signed', 401, undefined, now],
  ];
  for (const [name, status, signature, timestamp] of cases) {
    const headers = {
      'x-hubspot-request-timestamp': String(timestamp),
      ...(signature && { 'x-hubspot-signature-v3': signature }),
    };
    t.equal((await request(signed.url + target, { headers })).status, status, name);
  }
});

t.test('open: anybody who knows the id is allowed', async (t) => {
  const open = await startGateway(t, { 'retrieve-auth': 'open' });
  await open.ingest(file, { accountId: 'one', externalId: 'x' });
  t.equal((await request(`${open.url}${path}/x?externalAccountId=one`)).status, 200);
});

t.test('a deleted recording is not found, and its URLs stop working', async (t) => {
  await gateway.ingest(file, { accountId: 'one', externalId: 'gone' });
  const { json } = await request(`${keyed}/gone?externalAccountId=one`);
  t.equal((await gateway.v1('/recordings/one/gone', { method: 'DELETE' })).status, 204);
  t.equal((await request(`${keyed}/gone?externalAccountId=one`)).status, 404);
  t.equal((await fetch(json.authenticatedUrl!)).status, 401);
});

t.test('an address that fails too often has to wait', async (t) => {
  const fresh = await startGateway(t);
  const wrong = `${fresh.url}/stream/wrong`;
  const statuses: number[] = [];
  for (let attempt = 0; attempt < 70; attempt++) statuses.push((await fetch(wrong)).status);
  t.equal(statuses[0], 401);
  t.equal(statuses.at(-1), 429);
  t.ok(Number((await fetch(wrong)).headers.get('retry-after')) > 0);
  const url = await fresh.streamOf(file);
  t.equal((await fetch(url)).status, 200, 'a valid token from the same address still plays');
});

t.test('a failure counts once with every method of authentication', async (t) => {
  for (const method of ['key', 'signature']) {
    const fresh = await startGateway(t, { 'retrieve-auth': method, 'hubspot-client-secret': 'secret' });
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 61; attempt++)
      statuses.push((await fetch(`${fresh.url}${path}/x`)).status);
    t.equal(statuses.indexOf(429), 60, method);
  }
});
