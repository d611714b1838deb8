import { type KyselyPlugin, SqliteQueryCompiler } from 'kysely';
import t from 'tap';
import type { Database } from '../../src/db/open.ts';
import { retention } from '../../src/maintenance/retention.ts';
import { jobSweep, recordingSweep } from '../../src/maintenance/sweeps.ts';
import { createMetrics } from '../../src/metrics.ts';
import { Outbox } from '../../src/publishing/outbox.ts';
import type { RequireRemovable } from '../../src/recordings/catalog.ts';
import { Holds } from '../../src/recordings/holds.ts';
import { RetentionRules } from '../../src/recordings/retention-rules.ts';
import { eachEngine, failing, type Place, put, recording, type Worker } from '../contracts/db.ts';

const dayMs = 86_400_000;

/** The task, on recordings that have no audio. `beforeErasure` runs between the search for what is due and its removal. */
async function setUp(place: Place, defaultDays: number) {
  const worker = await place.worker();
  const { db, catalog } = worker;
  const rules = new RetentionRules(db, defaultDays * dayMs);
  const metrics = createMetrics();
  const logged: object[] = [];
  const site = {
    worker,
    db,
    rules,
    logged,
    holds: new Holds(db),
    outbox: new Outbox(db),
    beforeErasure: async () => {},
    task(database: Database = db) {
      const erase = async (accountId: string, externalId: string, require?: RequireRemovable) => {
        await site.beforeErasure();
        return (await catalog.remove(accountId, externalId, require)) !== undefined;
      };
      const sweeps = [recordingSweep(database, { erase }, rules), jobSweep(database)];
      return retention({
        db: database,
        rules,
        sweeps,
        metrics,
        log: { info: (counts) => void logged.push(counts) },
      });
    },
    run: () => site.task().run(async () => true),
    async counted() {
      const { values } = await metrics.ended.get();
      return Object.fromEntries(values.map(({ labels, value }) => [labels.kind, value]));
    },
    async kept() {
      const rows = await db.kysely.selectFrom('recordings').select(['account_id', 'external_id']).execute();
      return rows.map((row) => `${row.account_id}/${row.external_id}`).sort();
    },
  };
  return site;
}

/** Puts recordings into the catalog, by their days of age. */
async function fill(worker: Worker, ages: Record<string, number>): Promise<void> {
  for (const [name, days] of Object.entries(ages)) {
    const [accountId, externalId] = name.split('/') as [string, string];
    const input = recording({ accountId, externalId });
    if (externalId.startsWith('rejected')) await worker.catalog.reject({ ...input, report: failing });
    else await put(worker, input);
    await age(worker, externalId, days);
  }
}

async function age({ db }: Worker, externalId: string, days: number): Promise<void> {
  const created_at = Date.now() - days * dayMs;
  await db.kysely
    .updateTable('recordings')
    .set({ created_at })
    .where('external_id', '=', externalId)
    .execute();
}

eachEngine(t, 'recordings end by the setting, or by the rule of their account', async (t, place) => {
  const site = await setUp(place, 30);
  await fill(site.worker, {
    'default/old': 31,
    'default/rejected-old': 40,
    'default/new': 29,
    'default/rejected-new': 1,
    'forever/ancient': 9_000,
    'long/old': 89,
    'long/older': 91,
    'short/new': 8,
    'short/newest': 6,
  });
  for (const [accountId, days] of [
    ['forever', 0],
    ['long', 90],
    ['short', 7],
  ] as const)
    await site.rules.set({ accountId, retentionMs: days * dayMs });
  await site.run();
  const kept = ['default/new', 'default/rejected-new', 'forever/ancient', 'long/old', 'short/newest'];
  t.same(await site.kept(), kept);
  t.same(await site.counted(), { recordings: 3, reports: 1, jobs: 0 });
  t.same(site.logged, [{ recordings: 3, reports: 1 }], 'the log has counts and no ids');
  await site.run();
  t.same(await site.kept(), kept);
  t.equal(site.logged.length, 1);
  await site.rules.clear('long');
  await site.run();
  t.notOk((await site.kept()).includes('long/old'), 'without its rule the setting is in force');
});

eachEngine(
  t,
  'without a retention nothing ends, and a rule alone ends what is its account’s',
  async (t, place) => {
    const site = await setUp(place, 0);
    await fill(site.worker, { 'acme/ancient': 9_000, 'short/old': 8 });
    await site.run();
    t.same(await site.kept(), ['acme/ancient', 'short/old']);
    await site.rules.set({ accountId: 'short', retentionMs: 7 * dayMs });
    await site.run();
    t.same(await site.kept(), ['acme/ancient']);
  },
);

eachEngine(t, 'what is under a hold does not end', async (t, place) => {
  const site = await setUp(place, 30);
  await fill(site.worker, { 'acme/held': 99, 'acme/old': 99, 'all/a': 99, 'all/rejected': 99 });
  await site.holds.place({ accountId: 'acme', externalId: 'held' }, 'r');
  await site.holds.place({ accountId: 'all' }, 'r');
  await site.run();
  t.same(await site.kept(), ['acme/held', 'all/a', 'all/rejected']);
  await site.holds.release({ accountId: 'acme', externalId: 'held' });
  await site.holds.release({ accountId: 'all' });
  await site.run();
  t.same(await site.kept(), []);
});

/** What happens between the search for what is due and its removal. */
const meanwhile: Record<string, (site: Awaited<ReturnType<typeof setUp>>) => Promise<unknown>> = {
  'a hold on the recording': ({ holds }) => holds.place({ accountId: 'acme', externalId: 'call-1' }, 'r'),
  'a hold on the account': ({ holds }) => holds.place({ accountId: 'acme' }, 'r'),
  'a longer rule': ({ rules }) => rules.set({ accountId: 'acme', retentionMs: 100 * dayMs }),
  'a rule to keep for ever': ({ rules }) => rules.set({ accountId: 'acme', retentionMs: 0 }),
  'the recording erased and put in again': async ({ worker }) => {
    await worker.catalog.remove('acme', 'call-1');
    await put(worker, recording());
  },
};

for (const [name, happen] of Object.entries(meanwhile)) {
  eachEngine(t, `${name} during a sweep is respected`, async (t, place) => {
    const site = await setUp(place, 30);
    await fill(site.worker, { 'acme/call-1': 99 });
    site.beforeErasure = async () => {
      site.beforeErasure = async () => {};
      await happen(site);
    };
    await site.run();
    t.same(await site.kept(), ['acme/call-1']);
    t.match(await site.counted(), { recordings: 0 });
  });
}

eachEngine(t, 'a recording whose audio was rejected before counts from its first audio', async (t, place) => {
  const site = await setUp(place, 30);
  await fill(site.worker, { 'acme/rejected': 99, 'acme/replaced': 99 });
  await put(site.worker, recording({ externalId: 'rejected' }));
  await put(site.worker, recording({ externalId: 'replaced', sha256: 'b' }), true);
  await site.run();
  t.same(await site.kept(), ['acme/rejected'], 'a replacement does not make the call younger');
});

eachEngine(
  t,
  'more than one step ends in one run, and a process that stops ends no more',
  async (t, place) => {
    const site = await setUp(place, 30);
    for (let index = 0; index < 230; index++)
      await site.worker.catalog.reject({
        ...recording({ externalId: `rejected-${index}` }),
        report: failing,
      });
    await site.db.kysely
      .updateTable('recordings')
      .set({ created_at: Date.now() - 31 * dayMs })
      .execute();
    await site.holds.place({ accountId: 'acme', externalId: 'rejected-0' }, 'r');
    let steps = 0;
    await site.task().run(async () => ++steps <= 120);
    t.same(await site.counted(), { recordings: 0, reports: 120, jobs: 0 });
    await site.run();
    t.same(await site.kept(), ['acme/rejected-0']);
    t.same(site.logged, [{ reports: 120 }, { reports: 109 }]);
  },
);

eachEngine(t, 'a recording that cannot be erased does not keep the others', async (t, place) => {
  const site = await setUp(place, 30);
  await fill(site.worker, { 'acme/broken': 99, 'acme/old': 98, 'other/old': 99 });
  await site.db.kysely
    .updateTable('recordings')
    .set({ report: 'no JSON' })
    .where('external_id', '=', 'broken')
    .execute();
  await t.rejects(site.run(), SyntaxError);
  t.same(await site.kept(), ['acme/broken']);
  t.same(site.logged, [{ recordings: 2 }]);
});

eachEngine(t, 'the recordings of many accounts end in one run', async (t, place) => {
  const site = await setUp(place, 30);
  const ids = Array.from({ length: 230 }, (_, index) => `account-${index}`);
  for (const accountId of ids)
    await site.worker.catalog.reject({ ...recording({ accountId }), report: failing });
  await site.rules.set({ accountId: 'account-7', retentionMs: 0 });
  await site.db.kysely
    .updateTable('recordings')
    .set({ created_at: Date.now() - 31 * dayMs })
    .execute();
  await site.run();
  t.same(await site.kept(), ['account-7/call-1']);
});

eachEngine(t, 'finished jobs that no recording has end too', async (t, place) => {
  const site = await setUp(place, 30);
  await fill(site.worker, { 'acme/there': 1 });
  for (const [externalId, state] of [
    ['there', 'done'],
    ['gone', 'done'],
    ['dead', 'dead'],
    ['busy', 'waiting'],
    ['new', 'done'],
  ] as const) {
    await site.db.kysely
      .transaction()
      .execute((trx) => site.outbox.enqueue(trx, 'publication', { accountId: 'acme', externalId }));
    const created_at = Date.now() - (externalId === 'new' ? 1 : 31) * dayMs;
    await site.db.kysely
      .updateTable('outbox')
      .set({ state, created_at })
      .where('external_id', '=', externalId)
      .execute();
    const step = {
      name: 'log',
      kind: 'log',
      position: 0,
      target: null,
      state: 'done',
      attempts: 1,
      result: null,
    } as const;
    const ended = { reason: null, started_at: null, ended_at: null };
    await site.db.kysely
      .insertInto('publication_steps')
      .values({ ...step, ...ended, account_id: 'acme', external_id: externalId })
      .execute();
  }
  await site.run();
  for (const table of ['outbox', 'publication_steps'] as const) {
    const rows = await site.db.kysely.selectFrom(table).select('external_id').execute();
    t.same(rows.map((row) => row.external_id).sort(), ['busy', 'new', 'there'], table);
  }
  t.same(await site.counted(), { recordings: 0, reports: 0, jobs: 2 });
});

eachEngine(t, 'a sweep reads by indexes: it scans no table', async (t, place) => {
  const site = await setUp(place, 30);
  if (site.db.engine === 'postgres') {
    t.pass('the planner of Postgres chooses by the number of rows');
    return;
  }
  await fill(site.worker, { 'acme/old': 99, 'acme/new': 1, 'other/old': 99 });
  const plans: string[] = [];
  const compiler = new SqliteQueryCompiler();
  const recorder: KyselyPlugin = {
    transformQuery({ node, queryId }) {
      const query = compiler.compileQuery(node, queryId);
      if (/^\s*(with|select|delete)/.test(query.sql)) explained.push(query);
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  const explained: ReturnType<typeof compiler.compileQuery>[] = [];
  await site.task({ ...site.db, kysely: site.db.kysely.withPlugin(recorder) }).run(async () => true);
  for (const query of explained) {
    const explain = { ...query, sql: `explain query plan ${query.sql}` };
    const { rows } = await site.db.kysely.executeQuery<{ detail: string }>(explain);
    plans.push(...rows.map(({ detail }) => detail));
  }
  t.ok(
    plans.some((plan) => /SEARCH recordings USING COVERING INDEX recordings_account_newest/.test(plan)),
    'the accounts',
  );
  t.ok(
    plans.some((plan) => /SEARCH recordings USING INDEX recordings_account_newest/.test(plan)),
    'what is due',
  );
  // `accounts` and `page` are of this query: a hundred rows at most.
  t.same(
    plans.filter((plan) => /\bSCAN (?!CONSTANT|accounts$|page$)/.test(plan)),
    [],
  );
});
