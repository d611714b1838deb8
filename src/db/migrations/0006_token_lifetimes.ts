import type { Kysely } from 'kysely';

/** Adds the lifetimes of the tokens that processes sign. A revocation must outlive every token that it ends. */
export async function tokenLifetimes(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('token_lifetimes')
    .addColumn('ttl_ms', 'bigint', (column) => column.primaryKey())
    .addColumn('used_until', 'bigint', (column) => column.notNull())
    .execute();
}
