import t from 'tap';
import { startGateway } from '../gateway.ts';

const file = 'inbound-caller1.wav';

async function statusesOf(count: number, request: () => Promise<Response>): Promise<Map<number, number>> {
  const responses = await Promise.all(Array.from({ length: count }, request));
  const counts = new Map<number, number>();
  for (const { status } of responses) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

t.test('the default limit allows a hundred seeks at once', async (t) => {
  const gateway = await startGateway(t, { 'rate-limit': '6000' });
  const url = await gateway.streamOf(file);
  const counts = await statusesOf(100, () => fetch(url, { headers: { range: 'bytes=1000-1999' } }));
  t.same([...counts], [[206, 100]]);
});

t.test('a token beyond its limit has to wait, and another token does not', async (t) => {
  const gateway = await startGateway(t, { 'rate-limit': '20' });
  const busy = await gateway.streamOf(file, { externalId: 'busy' });
  const other = await gateway.streamOf(file, { externalId: 'other' });
  const counts = await statusesOf(30, () => fetch(busy, { headers: { range: 'bytes=0-0' } }));
  t.equal(counts.get(206), 20);
  t.equal(counts.get(429), 10);
  const rejected = await fetch(busy);
  const wait = Number(rejected.headers.get('retry-after'));
  t.ok(wait > 0 && wait <= 60, `Retry-After ${wait}`);
  t.match(await rejected.json(), { code: 'rate_limited', status: 429 });
  t.equal((await fetch(other)).status, 200);
});

t.test('an API key beyond its limit has to wait', async (t) => {
  const gateway = await startGateway(t, { 'rate-limit': '5' });
  const counts = await statusesOf(8, () => gateway.v1('/recordings'));
  t.equal(counts.get(200), 5);
  t.equal(counts.get(429), 3);
});

/** Sends as a client of this address: the test is a trusted proxy. */
const from = (ip: string) => ({ 'x-forwarded-for': ip });
const behindProxy = { 'trust-proxy': '127.0.0.1' };

t.test('wrong keys count for their address, and during its pause the right key is denied too', async (t) => {
  const gateway = await startGateway(t, behindProxy);
  const url = await gateway.streamOf(file);
  const guess = () =>
    fetch(`${gateway.url}/v1/recordings`, {
      headers: { ...from('192.0.2.1'), authorization: 'Bearer guess' },
    });
  const guesses = await statusesOf(61, guess);
  t.same([guesses.get(401), guesses.get(429)], [60, 1]);

  const denied = await gateway.v1('/recordings', { headers: from('192.0.2.1') });
  t.match(await denied.json(), { code: 'rate_limited', status: 429 });
  t.ok(Number(denied.headers.get('retry-after')) > 0);
  const retrieve = `${gateway.url}/k/${gateway.parts.apiKeys.accessKey}/retrieve/authenticated/recordings/x`;
  t.equal(
    (await fetch(retrieve, { headers: from('192.0.2.1') })).status,
    429,
    'the access key is denied too',
  );
  t.equal((await fetch(url, { headers: from('192.0.2.1') })).status, 200, 'a valid URL plays');
  t.equal((await gateway.v1('/recordings', { headers: from('192.0.2.2') })).status, 200);
});

t.test('invalid URLs do not lock out the key of the same address', async (t) => {
  const gateway = await startGateway(t, behindProxy);
  const expired = () => fetch(`${gateway.url}/stream/expired`, { headers: from('192.0.2.1') });
  t.equal((await statusesOf(70, expired)).get(429), 10);
  t.equal((await gateway.v1('/recordings', { headers: from('192.0.2.1') })).status, 200);
});

t.test('ids that no recording has count for their address', async (t) => {
  const gateway = await startGateway(t, behindProxy);
  await gateway.ingest(file, { externalId: 'known' });
  const retrieve = (id: string, ip: string) =>
    fetch(`${gateway.url}/k/${gateway.parts.apiKeys.accessKey}/retrieve/authenticated/recordings/${id}`, {
      headers: from(ip),
    });
  t.equal((await retrieve('known', '192.0.2.1')).status, 200);
  const guesses = await statusesOf(601, () => retrieve('guessed', '192.0.2.1'));
  t.same([guesses.get(404), guesses.get(429)], [600, 1]);
  t.equal((await retrieve('known', '192.0.2.1')).status, 429);
  t.equal((await retrieve('known', '192.0.2.2')).status, 200);
});
