import type { Kysely } from 'kysely';

/** Adds the SHA-256 of each block of stored audio. */
export async function blockDigests(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('block_digests')
    .addColumn('key', 'text', (column) => column.primaryKey())
    .addColumn('digests', 'text', (column) => column.notNull())
    .execute();
}
