import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { startGateway } from '../gateway.ts';
import { startRedis, withoutRedis } from '../servers/redis.ts';
import { until } from '../until.ts';

const file = 'inbound-caller1.wav';
const limit = 20;

/** Two replicas: one database, one Redis. */
async function startReplicas(t: Test) {
  const redis = await startRedis();
  t.teardown(() => redis.stop());
  const settings = { 'redis-url': redis.url, 'rate-limit': String(limit) };
  const first = await startGateway(t, settings);
  const second = await startGateway(t, { ...settings, 'data-dir': first.dataDir });
  const readiness = async () => {
    const response = await fetch(`${first.url}/readyz`);
    return { status: response.status, ...((await response.json()) as { database: string; redis: string }) };
  };
  const ready = () => until(async () => (await readiness()).redis === 'ok');
  await ready();
  await until(async () => (await (await fetch(`${second.url}/readyz`)).text()).includes('"redis":"ok"'));
  return { redis, first, second, readiness, ready };
}

/** How many of `count` requests got 206. The others must get 429. */
async function passed(t: Test, url: string, count: number): Promise<number> {
  const headers = { range: 'bytes=0-0' };
  const responses = await Promise.all(Array.from({ length: count }, () => fetch(url, { headers })));
  const statuses = responses.map(({ status }) => status);
  t.ok(
    statuses.every((status) => status === 206 || status === 429),
    statuses.join(' '),
  );
  return statuses.filter((status) => status === 206).length;
}

t.test('with Redis', { skip: withoutRedis }, async (t) => {
  await t.test('a limit holds for two replicas together', async (t) => {
    const { redis, first, second } = await startReplicas(t);
    const url = await first.streamOf(file);
    t.equal(await passed(t, url, 12), 12);
    t.equal(await passed(t, url.replace(first.url, second.url), 12), limit - 12);
    t.equal((await fetch(url)).status, 429);

    const client = new Redis(redis.url);
    t.teardown(() => client.disconnect());
    const keys = await client.keys('*');
    t.ok(keys.length > 0);
    const token = url.split('/').at(-1)!;
    t.notOk(
      keys.some((key) => key.includes(token) || key.includes(first.apiKey)),
      'Redis has no secret',
    );
    for (const key of keys) t.ok((await client.pttl(key)) > 0, `${key} expires`);
  });

  await t.test(
    'while Redis is out of reach each process counts for itself, and /readyz reports it',
    async (t) => {
      const { redis, first, readiness, ready } = await startReplicas(t);
      const before = await first.streamOf(file, { externalId: 'before' });
      t.equal(await passed(t, before, 1), 1);

      await redis.stop();
      await until(async () => (await readiness()).redis !== 'ok');
      t.same(await readiness(), { status: 200, database: 'ok', redis: 'out of reach' });
      t.equal(await passed(t, before, 1), 1, 'a URL that Redis has counted still plays');
      const during = await first.streamOf(file, { externalId: 'during' });
      t.equal(await passed(t, during, limit + 5), limit);

      await redis.start();
      await ready();
      t.same(await readiness(), { status: 200, database: 'ok', redis: 'ok' });
      const after = await first.streamOf(file, { externalId: 'after' });
      t.equal(await passed(t, after, limit + 5), limit);
    },
  );

  await t.test('if Redis accepts commands and does not respond, requests do not wait for it', async (t) => {
    const { redis, first, readiness } = await startReplicas(t);
    const url = await first.streamOf(file);
    redis.freeze(true);
    t.teardown(() => redis.freeze(false));
    t.equal(await passed(t, url, limit + 5), limit, 'the process counts');
    t.match(await readiness(), { status: 200, redis: 'out of reach' });
  });
});

t.test('without Redis /readyz does not mention it', async (t) => {
  const gateway = await startGateway(t);
  t.same(await (await fetch(`${gateway.url}/readyz`)).json(), { database: 'ok' });
});
