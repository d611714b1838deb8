import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { catalog } from './migrations/0001_catalog.ts';
import { secrets } from './migrations/0002_secrets.ts';
import { publish } from './migrations/0003_publish.ts';
import { jobKinds } from './migrations/0004_job_kinds.ts';
import { leases } from './migrations/0005_leases.ts';
import { moves } from './migrations/0009_moves.ts';
import type { Engine } from './schema.ts';

/** In the order of their names. Never edit a migration that was released; add a new one. */
const migrations: Record<string, (db: Kysely<unknown>, engine: Engine) => Promise<void>> = {
  '0001_catalog': catalog,
  '0002_secrets': secrets,
  '0003_publish': publish,
  '0004_job_kinds': jobKinds,
  '0005_leases': leases,
  '0009_moves': moves,
};

/** Id of the advisory lock: any number, the same in every version. */
const lockId = 7_152_046;

/**
 * Brings the schema up to date. If several processes start together, the first one migrates and the others
 * wait. Everything is one transaction: a crash or a full disk leaves the schema as it was.
 *
 * The schema of a later version is not changed and can be used: during an upgrade, a process of the old version may
 * crash and start again.
 */
export async function migrate<T>(db: Kysely<T>, engine: Engine): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // SQLite allows one writing transaction at a time anyway (sqlite.ts). On Postgres, Kysely would release
    // its own lock before this transaction commits.
    if (engine === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(lockId)})`.execute(trx);
    const steps = Object.entries(migrations).map(([name, up]) => [
      name,
      { up: (inner: Kysely<unknown>) => up(inner, engine) },
    ]);
    const migrator = new Migrator({
      db: trx,
      provider: { getMigrations: async () => Object.fromEntries(steps) },
    });
    if (await isLater(trx)) return;
    const { error } = await migrator.migrateToLatest();
    if (error) throw error;
  });
}

/** Whether the schema has every migration of this version and more. */
async function isLater<T>(trx: Kysely<T>): Promise<boolean> {
  const tables = await trx.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return false;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(trx);
  const done = new Set(rows.map(({ name }) => name));
  const known = Object.keys(migrations);
  return known.every((name) => done.has(name)) && done.size > known.length;
}
