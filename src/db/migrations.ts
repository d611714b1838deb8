import { type Kysely, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { ConfigError } from '../settings/config.ts';
import { version } from '../version.ts';
import { catalog } from './migrations/0001_catalog.ts';
import { secrets } from './migrations/0002_secrets.ts';
import { publish } from './migrations/0003_publish.ts';
import { jobKinds } from './migrations/0004_job_kinds.ts';
import { leases } from './migrations/0005_leases.ts';
import { tokenLifetimes } from './migrations/0006_token_lifetimes.ts';
import { apiKeyScopes } from './migrations/0007_api_keys.ts';
import { blockDigests } from './migrations/0008_block_digests.ts';
import { content } from './migrations/0008_content.ts';
import { moves } from './migrations/0009_moves.ts';
import { retention } from './migrations/0010_retention.ts';
import { hashedSubjects } from './migrations/0011_hashed_subjects.ts';
import { requiredMigrations } from './migrations/0012_required_migrations.ts';
import type { Engine } from './schema.ts';

/**
 * In the order of their names. Never edit a migration that was released; add a new one. If it removes or changes what
 * the version before it uses, it must insert its name into `required_migrations`.
 */
const migrations: Record<string, (db: Kysely<unknown>, engine: Engine) => Promise<void>> = {
  '0001_catalog': catalog,
  '0002_secrets': secrets,
  '0003_publish': publish,
  '0004_job_kinds': jobKinds,
  '0005_leases': leases,
  '0006_token_lifetimes': tokenLifetimes,
  '0007_api_keys': apiKeyScopes,
  '0008_block_digests': blockDigests,
  '0008_content': content,
  '0009_moves': moves,
  '0010_retention': retention,
  '0011_hashed_subjects': hashedSubjects,
  '0012_required_migrations': requiredMigrations,
};

/** Id of the advisory lock: any number, the same in every version. */
const lockId = 7_152_046;

/**
 * Brings the schema up to date. If several processes start together, the first one migrates and the others
 * wait. Everything is one transaction: a crash or a full disk leaves the schema as it was.
 *
 * The schema of a later version is not changed. It can be used unless it requires a migration that this version does
 * not know: during an upgrade, a process of the old version may crash and start again.
 *
 * @throws ConfigError if only a later version can use the schema
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
    if (await isLater(trx)) return requireKnown(trx);
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

/** @throws ConfigError if the schema requires a migration that this version does not know */
async function requireKnown<T>(trx: Kysely<T>): Promise<void> {
  const { rows } = await sql<{ name: string }>`select name from required_migrations order by name`.execute(
    trx,
  );
  const unknown = rows.find(({ name }) => !Object.hasOwn(migrations, name));
  if (unknown === undefined) return;
  throw new ConfigError(
    `The database that PLAYHEAD_DATABASE_URL names was upgraded by a later version (migration ${unknown.name}), and Playhead ${version} cannot use it. Start that version or a later one.`,
  );
}
