import { Kysely, sql } from 'kysely';
import { migrate } from './migrations.ts';
import { requireInUse, requireWritable } from './moved.ts';
import { listen, notify, postgresDialect, probePostgres } from './postgres.ts';
import type { Engine, Schema } from './schema.ts';
import { probeSqlite, sqliteDialect } from './sqlite.ts';

/**
 * Everything but the audio. Every query may throw Problem `database_unavailable`. On SQLite a transaction holds the
 * write lock: await nothing but queries within one.
 */
export interface Database {
  readonly kysely: Kysely<Schema>;
  readonly engine: Engine;
  /** The path of the SQLite file. Undefined on Postgres. */
  readonly file?: string;
  /**
   * Only on Postgres: calls `wake` when any process commits a transaction in which it called `notify`.
   *
   * @returns a function that stops it
   */
  listen?(wake: () => void): () => void;
  /** Only on Postgres. */
  notify?(trx: Kysely<Schema>): Promise<void>;
  /**
   * Only on SQLite: empties the write-ahead log, which may still have deleted rows, unless another process is reading.
   * Never throws.
   */
  purge?(): Promise<void>;
  /**
   * Looks whether the database takes writes. It writes one page, or on Postgres nothing.
   *
   * @throws Problem `database_unavailable`, `storage_full`
   */
  ping(): Promise<void>;
  close(): Promise<void>;
}

const sqliteScheme = 'sqlite:';
const inMemory = 'sqlite::memory:';
export const queryTimeoutMs = 10_000;
/** For the longest migration, and for the wait while another process migrates. */
const migrationTimeoutMs = 600_000;

/**
 * Opens the database and brings its schema up to date. Creates an SQLite file that does not exist.
 *
 * @param url `sqlite:/path`, `sqlite::memory:` or `postgres://…`
 * @throws Problem `database_unavailable`, `storage_full`, ConfigError if the database was moved
 */
export async function openDatabase(url: string): Promise<Database> {
  return open(url, { timeoutMs: queryTimeoutMs, before: requireInUse });
}

/** Opens a database that may be marked as moved, with time for long queries. @throws as `openDatabase` */
export async function openForMove(url: string): Promise<Database> {
  return open(url, { timeoutMs: migrationTimeoutMs, before: async () => {} });
}

async function open(
  url: string,
  { timeoutMs, before }: { timeoutMs: number; before: (kysely: Kysely<Schema>) => Promise<void> },
): Promise<Database> {
  const engine: Engine = /^postgres(ql)?:/.test(url) ? 'postgres' : 'sqlite';
  const file = url.slice(sqliteScheme.length);
  const connect = (limitMs: number) =>
    new Kysely<Schema>({
      dialect: engine === 'postgres' ? postgresDialect(url, limitMs) : sqliteDialect(file, limitMs),
    });
  const kysely = connect(timeoutMs);
  const forMigration = url === inMemory ? kysely : connect(migrationTimeoutMs);
  try {
    await before(forMigration);
    await migrate(forMigration, engine);
  } catch (error) {
    await kysely.destroy();
    throw error;
  } finally {
    if (forMigration !== kysely) await forMigration.destroy();
  }
  return {
    kysely,
    engine,
    ...(engine === 'sqlite' && url !== inMemory && { file }),
    ...(engine === 'postgres' && { listen: (wake: () => void) => listen(url, wake), notify }),
    ...(engine === 'sqlite' && { purge: () => purge(kysely) }),
    async ping() {
      if (engine === 'postgres') return probePostgres(kysely);
      await requireWritable(kysely);
      return probeSqlite(kysely, file);
    },
    close: () => kysely.destroy(),
  };
}

async function purge(db: Kysely<Schema>): Promise<void> {
  await sql`pragma wal_checkpoint(truncate)`.execute(db).catch(() => {});
}
