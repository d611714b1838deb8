import { Kysely } from 'kysely';
import { migrate } from './migrations.ts';
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
 * @throws Problem `database_unavailable`, `storage_full`
 */
export async function openDatabase(url: string): Promise<Database> {
  const engine: Engine = /^postgres(ql)?:/.test(url) ? 'postgres' : 'sqlite';
  const file = url.slice(sqliteScheme.length);
  const open = (timeoutMs: number) =>
    new Kysely<Schema>({
      dialect: engine === 'postgres' ? postgresDialect(url, timeoutMs) : sqliteDialect(file, timeoutMs),
    });
  const kysely = open(queryTimeoutMs);
  const forMigration = url === inMemory ? kysely : open(migrationTimeoutMs);
  try {
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
    ping: () => (engine === 'postgres' ? probePostgres(kysely) : probeSqlite(kysely, file)),
    close: () => kysely.destroy(),
  };
}
