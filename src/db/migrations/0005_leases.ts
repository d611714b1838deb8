import type { Kysely } from 'kysely';

/** Makes the leases on portals leases on anything. */
export async function leases(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('portal_leases').renameTo('leases').execute();
  await db.schema.alterTable('leases').renameColumn('portal', 'name').execute();
}
