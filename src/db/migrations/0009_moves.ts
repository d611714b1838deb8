import type { Kysely } from 'kysely';

/**
 * Audio that outlives its place in the catalog for a while, the stores of a move under way, and the mark on a database
 * that was moved.
 */
export async function moves(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('uploads').addColumn('recording_id', 'text').execute();
  await db.schema.alterTable('uploads').addColumn('kept_until', 'bigint').execute();
  await db.schema.createIndex('uploads_recording').on('uploads').columns(['recording_id']).execute();
  await db.schema
    .createTable('store_moves')
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('target', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('store_moves_stores', ['source', 'target'])
    .execute();
  await db.schema
    .createTable('database_moves')
    .addColumn('target', 'text', (column) => column.primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('at', 'bigint', (column) => column.notNull())
    .execute();
}
