import t from 'tap';
import { startGateway } from '../gateway.ts';

const file = 'inbound-caller1.wav';

async function statusesOf(count: number, ask: () => Promise<Response>): Promise<Map<number, number>> {
  const answers = await Promise.all(Array.from({ length: count }, ask));
  const counts = new Map<number, number>();
  for (const { status } of answers) counts.set(status, (counts.get(status) ?? 0) + 1);
  return counts;
}

t.test('a hundred seeks at once from one player all pass under the default limit', async (t) => {
  const gateway = await startGateway(t, { 'rate-limit': '6000' });
  const url = await gateway.streamOf(file);
  const counts = await statusesOf(100, () => fetch(url, { headers: { range: 'bytes=1000-1999' } }));
  t.same([...counts], [[206, 100]]);
});

t.test('one token beyond its limit is told to wait; another token is not', async (t) => {
  const gateway = await startGateway(t, { 'rate-limit': '20' });
  const busy = await gateway.streamOf(file, { externalId: 'busy' });
  const other = await gateway.streamOf(file, { externalId: 'other' });
  const counts = await statusesOf(30, () => fetch(busy, { headers: { range: 'bytes=0-0' } }));
  t.equal(counts.get(206), 20);
  t.equal(counts.get(429), 10);
  const refused = await fetch(busy);
  const wait = Number(refused.headers.get('retry-after'));
  t.ok(wait > 0 && wait <= 60, `Retry-After ${wait}`);
  t.match(await refused.json(), { code: 'rate_limited', status: 429 });
  t.equal((await fetch(other)).status, 200);
});

t.test('one API key beyond its limit is told to wait', async (t) => {
  const gateway = await startGateway(t, { 'rate-limit': '5' });
  const counts = await statusesOf(8, () => gateway.v1('/recordings'));
  t.equal(counts.get(200), 5);
  t.equal(counts.get(429), 3);
});
