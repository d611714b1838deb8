import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { catalog } from './migrations/0001_catalog.ts';
import { secrets } from './migrations/0002_secrets.ts';
import { publish } from './migrations/0003_publish.ts';
import { jobKinds } from './migrations/0004_job_kinds.ts';

export type Engine = 'sqlite' | 'postgres';

/** In the order of their names. One that has been released is never edited: a new one follows it. */
const migrations: Record<string, (db: Kysely<unknown>, engine: Engine) => Promise<void>> = {
  '0001_catalog': catalog,
  '0002_secrets': secrets,
  '0003_publish': publish,
  '0004_job_kinds': jobKinds,
};

/** Any number, the same in every version: it names the lock. */
const LOCK = 7_152_046;

/**
 * Brings the schema up to date, once, whichever of several starting processes comes first; the others
 * wait for it. All of it is one transaction: a crash or a full disk leaves the schema as it was. A schema
 * that a later version has brought further stays as it is, and serves: during an upgrade a process of the
 * version before may die and start again.
 */
export async function migrate<T>(db: Kysely<T>, engine: Engine): Promise<void> {
  await db.transaction().execute(async (trx) => {
    // SQLite's transactions are exclusive among writers already (sqlite.ts). Kysely's own lock on Postgres
    // would be let go before this transaction commits.
    if (engine === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(LOCK)})`.execute(trx);
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

/** Whether the schema has all that this version knows of, and more. */
async function isLater<T>(trx: Kysely<T>): Promise<boolean> {
  const tables = await trx.introspection.getTables({ withInternalKyselyTables: true });
  if (!tables.some(({ name }) => name === 'kysely_migration')) return false;
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(trx);
  const done = new Set(rows.map(({ name }) => name));
  const known = Object.keys(migrations);
  return known.every((name) => done.has(name)) && done.size > known.length;
}
