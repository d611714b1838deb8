import t from 'tap';
import { Changes } from '../../src/db/changes.ts';
import { openDatabase } from '../../src/db/open.ts';
import { eachEngine, onPostgres } from '../contracts/db.ts';
import { faultProxy } from '../servers/fault-proxy.ts';
import { until } from '../until.ts';

await eachEngine(
  t,
  'a change is delivered in this process at once and in the others soon',
  async (t, place) => {
    const [one, other] = await Promise.all([place.worker(), place.worker()]);
    const delivered: string[] = [];
    one.changes.on('api-key', (subject) => void delivered.push(`one ${subject}`));
    other.changes.on('api-key', () => Promise.reject(new Error('a listener that fails')));
    other.changes.on('api-key', (subject) => void delivered.push(`other ${subject}`));
    other.changes.on('recording', () => void t.fail('delivered to a listener of another kind'));

    await one.changes.transaction(async (_trx, record) => record('api-key', 'a'));
    t.same(delivered, ['one a']);
    t.ok(await until(() => delivered.includes('other a')));

    const failed = one.changes.transaction(async (_trx, record) => {
      await record('api-key', 'b');
      throw new Error('rolled back');
    });
    await t.rejects(failed);
    await one.changes.transaction(async (_trx, record) => record('api-key', 'c'));
    t.ok(await until(() => delivered.includes('other c')));
    t.notOk(
      delivered.some((line) => line.endsWith('b')),
      'a change that was rolled back is never delivered',
    );
  },
);

await eachEngine(t, 'old changes are pruned', async (t, place) => {
  const db = await place.open();
  const week = 7 * 86_400_000;
  const row = (subject: string, at: number) => ({ kind: 'keys', subject, at });
  await db.kysely
    .insertInto('changes')
    .values([row('old', Date.now() - week - 1_000), row('young', Date.now() - week + 60_000)])
    .execute();
  const changes = await Changes.open(db, 10);
  t.teardown(() => changes.close());
  const left = async () =>
    (await db.kysely.selectFrom('changes').select('subject').execute()).map((r) => r.subject);
  t.ok(await until(async () => (await left()).length === 1));
  t.same(await left(), ['young']);
});

await onPostgres(t, 'a change that is committed after a later one is delivered too', async (t, place) => {
  const { changes } = await place.worker();
  const slow = await place.open();
  const delivered: string[] = [];
  changes.on('keys', (subject) => void delivered.push(subject));
  await slow.kysely.transaction().execute(async (trx) => {
    await trx.insertInto('changes').values({ kind: 'keys', subject: 'early', at: Date.now() }).execute();
    await (await place.open()).kysely
      .insertInto('changes')
      .values({ kind: 'keys', subject: 'late', at: Date.now() })
      .execute();
    t.ok(await until(() => delivered.includes('late')));
    t.notOk(delivered.includes('early'));
  });
  t.ok(await until(() => delivered.includes('early')));
});

await eachEngine(t, 'a change is delivered again after a listener failed', async (t, place) => {
  const [one, other] = await Promise.all([place.worker(), place.worker()]);
  const delivered: string[] = [];
  other.changes.on('api-key', async (subject) => {
    delivered.push(subject);
    if (delivered.length < 3) throw new Error('not yet');
  });
  await one.changes.transaction(async (_trx, record) => record('api-key', 'a'));
  t.ok(await until(() => delivered.length === 3));
  await one.changes.transaction(async (_trx, record) => record('api-key', 'b'));
  t.ok(await until(() => delivered.length === 4));
  t.same(delivered, ['a', 'a', 'a', 'b'], 'and not again after it succeeded');
});

await onPostgres(t, 'a change wakes the other processes before their poll is due', async (t, place) => {
  const url = new URL(place.url);
  const proxy = await faultProxy(t, { host: url.hostname, port: Number(url.port) });
  url.host = `${proxy.host}:${proxy.port}`;
  const near = await place.worker();
  const db = await openDatabase(url.href);
  const changes = await Changes.open(db, 60_000);
  t.teardown(async () => {
    await changes.close();
    await db.close();
  });
  const delivered: string[] = [];
  changes.on('keys', (subject) => void delivered.push(subject));
  for (const [subject, name] of [
    ['a', 'from the start'],
    ['b', 'again'],
    ['c', 'after the connection was lost'],
    ['d', 'again'],
  ] as const) {
    if (subject === 'c') proxy.down(true);
    await near.changes.transaction(async (_trx, record) => record('keys', subject));
    proxy.down(false);
    t.ok(await until(() => delivered.includes(subject)), name);
  }
});
