import type { Kysely } from 'kysely';

/** Adds when the bytes of a recording were last compared with its SHA-256, and since when they are others. */
export async function content(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('recordings')
    .addColumn('verified_at', 'bigint', (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.alterTable('recordings').addColumn('damaged_at', 'bigint').execute();
  await db.schema
    .createIndex('recordings_verified')
    .on('recordings')
    .columns(['origin', 'verified_at'])
    .execute();
}
