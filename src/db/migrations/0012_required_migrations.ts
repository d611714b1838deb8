import type { Kysely } from 'kysely';

/**
 * Adds the list of migrations that a process must know to use the schema. A migration that removes or changes what
 * the versions before it use inserts its own name here.
 */
export async function requiredMigrations(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('required_migrations')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .execute();
}
