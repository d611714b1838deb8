import { type Kysely, sql } from 'kysely';

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
    .columns(['origin', 'verified_at', 'id'])
    .where(sql.ref('key'), 'is not', null) // a recording that was rejected has no audio to verify
    .execute();
}
