import { createHmac } from 'node:crypto';
import t from 'tap';
import { startGateway } from '../gateway.ts';
import { rawRequest } from '../raw.ts';

const path = '/retrieve/authenticated/recordings';
const secret = 'client-secret-of-the-app';
const file = 'inbound-caller1.flac';

const gateway = await startGateway(t, { 'hubspot-app-id': '101' });
const keyed = `${gateway.url}/k/${gateway.parts.apiKeys.accessKey}${path}`;

const strange = ['a/b', 'a%2Fb', '100%', 'ключ', 'a b+c', '?#&=', '..', '😀', "it's", 'a;b:c', '%s'];
for (const externalId of ['plain', ...strange]) await gateway.ingest(file, { accountId: 'one', externalId });
await gateway.ingest(file, { accountId: 'one', externalId: 'shared' });
await gateway.ingest(file, { accountId: 'two', externalId: 'shared' });

async function ask(
  url: string,
  init?: RequestInit,
): Promise<{ status: number; json: Record<string, string> }> {
  const answer = await fetch(url, init);
  return { status: answer.status, json: (await answer.json()) as Record<string, string> };
}

t.test('answers with a URL that plays, and nothing else', async (t) => {
  const { status, json } = await ask(`${keyed}/plain?appId=101&externalAccountId=one`);
  t.equal(status, 200);
  t.same(Object.keys(json), ['authenticatedUrl']);
  const audio = await fetch(json.authenticatedUrl!);
  t.equal(audio.status, 200);
  t.equal((await audio.arrayBuffer()).byteLength, Number(audio.headers.get('content-length')));
});

for (const externalId of strange) {
  t.test(`finds the id ${JSON.stringify(externalId)}, decoded exactly once`, async (t) => {
    const encoded = encodeURIComponent(externalId).replaceAll('.', '%2E');
    const target = `/k/${gateway.parts.apiKeys.accessKey}${path}/${encoded}?externalAccountId=one`;
    t.equal((await rawRequest(gateway.url, { target })).status, 200);
  });
}

t.test('finds an id whose slash HubSpot did not encode', async (t) => {
  t.equal((await ask(`${keyed}/a/b?externalAccountId=one`)).status, 200);
});

t.test('does without the query where the id is unique among accounts', async (t) => {
  t.equal((await ask(`${keyed}/plain`)).status, 200);
  t.equal((await ask(`${keyed}/shared`)).status, 404);
  t.equal((await ask(`${keyed}/shared?externalAccountId=two`)).status, 200);
});

const key = gateway.parts.apiKeys.accessKey;
const refused: [name: string, url: string][] = [
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
for (const [name, url] of refused) {
  t.test(`${name} is one and the same 404`, async (t) => {
    const { status, json } = await ask(url);
    t.equal(status, 404);
    bodies.add(JSON.stringify(json));
    t.equal(bodies.size, 1, 'the body does not tell which part was wrong');
  });
}

t.test('signature: HubSpot’s own is let in, others are not', async (t) => {
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
    ['signed for the socket’s URL', 401, sign(now, signed.url + target), now],
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
    t.equal((await ask(signed.url + target, { headers })).status, status, name);
  }
});

t.test('open: anybody who knows the id is let in', async (t) => {
  const open = await startGateway(t, { 'retrieve-auth': 'open' });
  await open.ingest(file, { accountId: 'one', externalId: 'x' });
  t.equal((await ask(`${open.url}${path}/x?externalAccountId=one`)).status, 200);
});

t.test('a deleted recording is unknown, and its URLs are dead', async (t) => {
  await gateway.ingest(file, { accountId: 'one', externalId: 'gone' });
  const { json } = await ask(`${keyed}/gone?externalAccountId=one`);
  t.equal((await gateway.v1('/recordings/one/gone', { method: 'DELETE' })).status, 204);
  t.equal((await ask(`${keyed}/gone?externalAccountId=one`)).status, 404);
  t.equal((await fetch(json.authenticatedUrl!)).status, 401);
});

t.test('an address that fails too often is told to wait', async (t) => {
  const tried = await startGateway(t);
  const wrong = `${tried.url}/stream/wrong`;
  const statuses: number[] = [];
  for (let attempt = 0; attempt < 70; attempt++) statuses.push((await fetch(wrong)).status);
  t.equal(statuses[0], 401);
  t.equal(statuses.at(-1), 429);
  t.ok(Number((await fetch(wrong)).headers.get('retry-after')) > 0);
  const url = await tried.streamOf(file);
  t.equal((await fetch(url)).status, 200, 'a right token from the same address still plays');
});

t.test('a failure counts once, however HubSpot is to prove itself', async (t) => {
  for (const way of ['key', 'signature']) {
    const tried = await startGateway(t, { 'retrieve-auth': way, 'hubspot-client-secret': 'secret' });
    const statuses: number[] = [];
    for (let attempt = 0; attempt < 61; attempt++)
      statuses.push((await fetch(`${tried.url}${path}/x`)).status);
    t.equal(statuses.indexOf(429), 60, way);
  }
});
