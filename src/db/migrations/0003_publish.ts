import type { Kysely } from 'kysely';

/** The outbox, portal leases, the steps of publications, and the portals that installed the app. */
export async function publish(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('outbox')
    .addColumn('id', 'text', (column) => column.primaryKey())
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
    .addUniqueConstraint('outbox_subject', ['account_id', 'external_id'])
    .execute();
  await db.schema.createIndex('outbox_due').on('outbox').columns(['state', 'account_id', 'due_at']).execute();
  await db.schema.createIndex('outbox_newest').on('outbox').columns(['created_at', 'id']).execute();

  await db.schema
    .createTable('speakers')
    .addColumn('portal', 'text', (column) => column.primaryKey())
    .addColumn('process', 'text', (column) => column.notNull())
    .addColumn('until', 'bigint', (column) => column.notNull())
    .execute();

  await db.schema
    .createTable('publication_steps')
    .addColumn('account_id', 'text', (column) => column.notNull())
    .addColumn('external_id', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('target', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('result', 'text')
    .addColumn('reason', 'text')
    .addColumn('started_at', 'bigint')
    .addColumn('ended_at', 'bigint')
    .addPrimaryKeyConstraint('publication_steps_name', ['account_id', 'external_id', 'name'])
    .execute();

  await db.schema
    .createTable('installations')
    .addColumn('portal_id', 'bigint', (column) => column.primaryKey())
    .addColumn('tokens', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('lost', 'text')
    .addColumn('lease_until', 'bigint', (column) => column.notNull())
    .addColumn('installed_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('installed_accounts')
    .addColumn('account_id', 'text', (column) => column.primaryKey())
    .addColumn('portal_id', 'bigint', (column) => column.notNull())
    .execute();
}
