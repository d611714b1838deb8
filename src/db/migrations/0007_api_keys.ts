import type { Kysely } from 'kysely';

/** Gives API keys a role, accounts, and what an operator wants to know of them. */
export async function apiKeyScopes(db: Kysely<unknown>): Promise<void> {
  const table = () => db.schema.alterTable('api_keys');
  await table()
    .addColumn('role', 'text', (column) => column.notNull().defaultTo('admin'))
    .execute();
  await table().addColumn('accounts', 'text').execute();
  await table().addColumn('last_used_at', 'bigint').execute();
  await table().addColumn('revoked_at', 'bigint').execute();
}
