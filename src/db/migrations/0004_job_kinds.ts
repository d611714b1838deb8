import type { Kysely } from 'kysely';

/**
 * Adds a kind to the jobs of the outbox, and renames `speakers` to `portal_leases`. SQLite cannot change a
 * constraint, so the outbox is copied to a new table. On Postgres both tables exist at the same time, so the
 * constraint of the new one needs a new name.
 */
export async function jobKinds(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('outbox_jobs')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('account_id', 'text', (column) => column.notNull())
    .addColumn('external_id', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('revision', 'integer', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('due_at', 'bigint', (column) => column.notNull())
    .addColumn('lease', 'text')
    .addColumn('lease_until', 'bigint', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('outbox_kind_subject', ['kind', 'account_id', 'external_id'])
    .execute();
  const columns = [
    'id',
    'account_id',
    'external_id',
    'state',
    'revision',
    'attempts',
    'due_at',
    'lease',
    'lease_until',
    'reason',
    'created_at',
    'updated_at',
  ] as const;
  const tables = db as Kysely<
    Record<'outbox' | 'outbox_jobs', Record<(typeof columns)[number] | 'kind', string>>
  >;
  await tables
    .insertInto('outbox_jobs')
    .columns([...columns, 'kind'])
    .expression((eb) => eb.selectFrom('outbox').select([...columns, eb.val('publication').as('kind')]))
    .execute();
  await db.schema.dropTable('outbox').execute();
  await db.schema.alterTable('outbox_jobs').renameTo('outbox').execute();
  await db.schema
    .createIndex('outbox_due_by_kind')
    .on('outbox')
    .columns(['state', 'kind', 'account_id', 'due_at'])
    .execute();
  await db.schema.createIndex('outbox_newest').on('outbox').columns(['created_at', 'id']).execute();

  await db.schema.alterTable('speakers').renameTo('portal_leases').execute();
  await db.schema.alterTable('portal_leases').renameColumn('until', 'lease_until').execute();
}
