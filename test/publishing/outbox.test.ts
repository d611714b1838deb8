import t from 'tap';
import { Outbox, type OutboxOptions } from '../../src/publishing/outbox.ts';
import { clock } from '../clock.ts';
import { eachEngine, type Place } from '../contracts/db.ts';

const kind = 'publication';

async function setUp(place: Place, options: OutboxOptions = {}) {
  const db = await place.open();
  const outbox = new Outbox(db, options);
  const enqueue = (externalId: string, accountId = 'acme') =>
    db.kysely.transaction().execute((trx) => outbox.enqueue(trx, kind, { accountId, externalId }));
  return { db, outbox, enqueue };
}

eachEngine(t, 'a job is taken once, the longest due first, by account', async (t, place) => {
  const putForward = clock(t);
  const { outbox, enqueue } = await setUp(place);
  for (const id of ['a', 'b', 'c']) {
    await enqueue(id);
    putForward(1);
  }
  await enqueue('d', 'other');
  t.same((await outbox.dueAccounts(kind)).sort(), ['acme', 'other']);
  t.same((await outbox.take(kind, 'acme', 2)).map((job) => job.externalId).sort(), ['a', 'b']);
  t.same(
    (await outbox.take(kind, 'acme', 5)).map((job) => job.externalId),
    ['c'],
  );
  t.same(await outbox.take(kind, 'acme', 5), []);
  t.same(await outbox.dueAccounts(kind), ['other']);
});

eachEngine(t, 'two processes never hold the same job', async (t, place) => {
  const { outbox, enqueue } = await setUp(place);
  for (let index = 0; index < 40; index++) await enqueue(`call-${index}`);
  const other = new Outbox(await place.open());
  const takes = Array.from({ length: 20 }, (_, index) => (index % 2 ? outbox : other).take(kind, 'acme', 3));
  const taken = (await Promise.all(takes)).flat().map((job) => job.externalId);
  t.equal(taken.length, 40);
  t.equal(new Set(taken).size, 40);
});

eachEngine(
  t,
  'a job of a dead process is free when its lease expires, and the old lease writes nothing',
  async (t, place) => {
    const putForward = clock(t);
    const { db, outbox, enqueue } = await setUp(place, { leaseMs: 60_000 });
    await enqueue('a');
    const [first] = await outbox.take(kind, 'acme', 1);
    t.same(await outbox.take(kind, 'acme', 1), []);
    putForward(60_000);
    const [second] = await outbox.take(kind, 'acme', 1);
    t.equal(second?.attempts, 2);
    await t.rejects(
      db.kysely.transaction().execute((trx) => outbox.renew(trx, first!, true)),
      { name: 'LeaseLost' },
    );
    await outbox.bury(first!, 'too late');
    t.match(await outbox.get(kind, { accountId: 'acme', externalId: 'a' }), {
      state: 'waiting',
      reason: null,
    });
    await outbox.complete(second!);
    t.match(await outbox.get(kind, { accountId: 'acme', externalId: 'a' }), { state: 'done', attempts: 0 });
  },
);

eachEngine(
  t,
  'failures back off with jitter, honour Retry-After, and end as dead letters',
  async (t, place) => {
    const { db, outbox, enqueue } = await setUp(place, {
      maxAttempts: 3,
      firstDelayMs: 1_000,
      longestDelayMs: 1_500,
    });
    await enqueue('a');
    const limits = [1_000, 1_500];
    for (const limit of limits) {
      const [job] = await outbox.take(kind, 'acme', 1);
      const before = Date.now();
      t.equal(await outbox.fail(job!, 'HubSpot was away.', 60_000), 'waiting');
      const { dueAt, reason } = (await outbox.get(kind, { accountId: 'acme', externalId: 'a' }))!;
      t.equal(reason, 'HubSpot was away.');
      t.ok(
        dueAt.getTime() >= before + 60_000 && dueAt.getTime() <= Date.now() + 60_000 + limit + 1,
        'within the jitter',
      );
      await db.kysely.updateTable('outbox').set({ due_at: 0 }).execute();
    }
    const [job] = await outbox.take(kind, 'acme', 1);
    t.equal(await outbox.fail(job!, 'HubSpot was away.'), 'dead');
    t.match(await outbox.get(kind, { accountId: 'acme', externalId: 'a' }), {
      state: 'dead',
      reason: 'No attempt is left after 3 failures. HubSpot was away.',
    });
    t.same(await outbox.dueAccounts(kind), []);
    t.match(await outbox.list({ state: 'dead' }), [{ externalId: 'a' }]);
    t.equal(await outbox.retryDead(['another']), 0);
    await outbox.retry(job!.id);
    for (const accounts of [['another', 'acme'], undefined]) {
      const [again] = await outbox.take(kind, 'acme', 1);
      t.equal(again?.attempts, 1);
      await outbox.bury(again!, 'no');
      t.equal(await outbox.retryDead(accounts), 1);
      t.equal(await outbox.retryDead(accounts), 0, 'a waiting job is not changed');
    }
  },
);

eachEngine(t, 'a job whose process ends during each attempt becomes a dead letter', async (t, place) => {
  const putForward = clock(t);
  const { outbox, enqueue } = await setUp(place, { maxAttempts: 2, leaseMs: 60_000 });
  await enqueue('a');
  for (const expected of [1, 1, 0]) {
    t.equal((await outbox.take(kind, 'acme', 1)).length, expected);
    putForward(60_000);
  }
  t.match(await outbox.get(kind, { accountId: 'acme', externalId: 'a' }), {
    state: 'dead',
    reason: /the process ended during each of them/,
  });
});

eachEngine(t, 'progress resets the attempts', async (t, place) => {
  const putForward = clock(t);
  const { db, outbox, enqueue } = await setUp(place, { firstDelayMs: 0 });
  await enqueue('a');
  for (let attempt = 1; attempt <= 3; attempt++) {
    const [job] = await outbox.take(kind, 'acme', 1);
    t.equal(job?.attempts, attempt);
    await outbox.fail(job!, 'no');
    putForward(1);
  }
  const [job] = await outbox.take(kind, 'acme', 1);
  await db.kysely.transaction().execute((trx) => outbox.renew(trx, job!, true));
  t.equal((await outbox.get(kind, { accountId: 'acme', externalId: 'a' }))?.attempts, 1);
});

eachEngine(t, 'a deferred attempt does not count', async (t, place) => {
  const { outbox, enqueue } = await setUp(place);
  await enqueue('a');
  const [job] = await outbox.take(kind, 'acme', 1);
  await outbox.defer(job!, 0, 'too early');
  t.match(await outbox.get(kind, { accountId: 'acme', externalId: 'a' }), {
    state: 'waiting',
    attempts: 0,
    reason: 'too early',
  });
});

eachEngine(t, 'work added while a job runs is not lost when the job ends', async (t, place) => {
  const { outbox, enqueue } = await setUp(place);
  for (const end of ['complete', 'bury'] as const) {
    await enqueue('a');
    const [job] = await outbox.take(kind, 'acme', 1);
    await enqueue('a');
    await outbox[end](job!, 'reason');
    t.match(await outbox.get(kind, { accountId: 'acme', externalId: 'a' }), { state: 'waiting' }, end);
  }
});

eachEngine(t, 'a job that is done or unknown cannot be retried', async (t, place) => {
  const { outbox, enqueue } = await setUp(place);
  await enqueue('a');
  const [job] = await outbox.take(kind, 'acme', 1);
  await outbox.complete(job!);
  await t.rejects(outbox.retry(job!.id), { code: 'not_found' });
  await t.rejects(outbox.retry('no-such-job'), { code: 'not_found' });
});

eachEngine(t, 'jobs of two kinds for one subject are two jobs', async (t, place) => {
  const { db, outbox, enqueue } = await setUp(place);
  await enqueue('a');
  const subject = { accountId: 'acme', externalId: 'a' };
  await db.kysely.transaction().execute((trx) => outbox.enqueue(trx, 'webhook', subject));
  t.match(await outbox.take(kind, 'acme', 5), [{ kind, externalId: 'a' }]);
  t.same(await outbox.dueAccounts(kind), []);
  t.same(await outbox.dueAccounts('webhook'), ['acme']);
  const [webhook] = await outbox.take('webhook', 'acme', 5);
  await outbox.complete(webhook!);
  t.match(await outbox.get('webhook', subject), { state: 'done' });
  t.match(await outbox.get(kind, subject), { state: 'waiting' });
});
