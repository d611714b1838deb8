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
