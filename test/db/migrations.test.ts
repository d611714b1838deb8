import { type Kysely, sql } from 'kysely';
import t from 'tap';
import { catalog } from '../../src/db/migrations/0001_catalog.ts';
import { secrets } from '../../src/db/migrations/0002_secrets.ts';
import { publish } from '../../src/db/migrations/0003_publish.ts';
import { retention } from '../../src/db/migrations/0010_retention.ts';
import { migrate } from '../../src/db/migrations.ts';
import { eachEngine, failing, recording } from '../contracts/db.ts';

eachEngine(t, 'the migration gives jobs without a kind the kind publication', async (t, place) => {
  const { kysely, engine } = await place.open();
  const db = kysely as unknown as Kysely<unknown>;
  for (const { name } of await db.introspection.getTables()) await db.schema.dropTable(name).execute();
  await sql`delete from kysely_migration`.execute(db);
  await catalog(db, engine);
  await secrets(db);
  await publish(db);
  for (const name of ['0001_catalog', '0002_secrets', '0003_publish'])
    await sql`insert into kysely_migration (name, timestamp) values (${name}, '2026')`.execute(db);
  await sql`insert into outbox values ('job-1', 'acme', 'call-1', 'dead', 3, 2, 10, null, 0, 'No.', 1, 2)`.execute(
    db,
  );
  await sql`insert into speakers values ('4711', 'process-1', 99)`.execute(db);

  await migrate(kysely, engine);
  await migrate(kysely, engine);
  const outbox = await kysely.selectFrom('outbox').selectAll().execute();
  t.match(outbox, [
    {
      id: 'job-1',
      kind: 'publication',
      account_id: 'acme',
      external_id: 'call-1',
      state: 'dead',
      revision: 3,
      attempts: 2,
      reason: 'No.',
      created_at: 1,
      updated_at: 2,
    },
  ]);
  const leases = await kysely.selectFrom('leases').selectAll().execute();
  t.same(leases, [{ name: '4711', process: 'process-1', lease_until: 99 }]);
});

eachEngine(t, 'the migration finds who took part in the calls that are there', async (t, place) => {
  const worker = await place.worker();
  const { kysely } = worker.db;
  for (let index = 0; index < 510; index++)
    await worker.catalog.reject({
      ...recording({ externalId: `call-${index}`, call: index % 2 ? { from: `+${index}` } : null }),
      report: failing,
    });
  const parties = () =>
    kysely.selectFrom('call_parties').selectAll().orderBy('recording_id').orderBy('party').execute();
  const before = await parties();
  t.equal(before.length, 255);
  for (const table of ['call_parties', 'holds', 'retention_rules'])
    await kysely.schema.dropTable(table).execute();
  await kysely.schema.dropIndex('outbox_account_oldest').execute();
  await retention(kysely as unknown as Kysely<unknown>);
  t.same(await parties(), before);
});
