import type { Kysely } from 'kysely';
import type { Engine } from '../schema.ts';

/** Recordings, the store keys that belong to no recording, and the change feed. */
export async function catalog(db: Kysely<unknown>, engine: Engine): Promise<void> {
  await db.schema
    .createTable('recordings')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('account_id', 'text', (column) => column.notNull())
    .addColumn('external_id', 'text', (column) => column.notNull())
    .addColumn('direction', 'text')
    .addColumn('origin', 'text', (column) => column.notNull())
    .addColumn('key', 'text')
    .addColumn('size', 'bigint', (column) => column.notNull())
    .addColumn('etag', 'text', (column) => column.notNull())
    .addColumn('origin_etag', 'text', (column) => column.notNull())
    .addColumn('last_modified', 'bigint', (column) => column.notNull())
    .addColumn('sha256', 'text')
    .addColumn('container', 'text')
    .addColumn('verdict', 'text', (column) => column.notNull())
    .addColumn('report', 'text', (column) => column.notNull())
    .addColumn('refusal', 'text')
    .addColumn('call', 'text')
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .addColumn('updated_at', 'bigint', (column) => column.notNull())
    .addUniqueConstraint('recordings_ids', ['account_id', 'external_id'])
    .execute();
  const index = (name: string, columns: string[]) =>
    db.schema.createIndex(name).on('recordings').columns(columns).execute();
  await index('recordings_external_id', ['external_id']);
  await index('recordings_newest', ['created_at', 'id']);
  await index('recordings_account_newest', ['account_id', 'created_at', 'id']);

  await db.schema
    .createTable('uploads')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('lease_until', 'bigint', (column) => column.notNull())
    .addColumn('abandoned_at', 'bigint')
    .execute();

  await db.schema
    .createTable('changes')
    // A number is never used twice, even after old rows were deleted: readers remember how far they have read.
    .addColumn('seq', engine === 'sqlite' ? 'integer' : 'bigint', (column) =>
      engine === 'sqlite'
        ? column.primaryKey().autoIncrement()
        : column.primaryKey().generatedByDefaultAsIdentity(),
    )
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .execute();
}
