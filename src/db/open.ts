import { Kysely, sql } from 'kysely';
import { type Engine, migrate } from './migrations.ts';
import { listen, notify, postgresDialect } from './postgres.ts';
import type { Schema } from './schema.ts';
import { sqliteDialect } from './sqlite.ts';

/**
 * Where everything but audio is kept. Every query may throw Problem `database_unavailable`.
 * A transaction holds a lock on SQLite: nothing but queries is awaited within one.
 */
export interface Database {
  readonly kysely: Kysely<Schema>;
  readonly engine: Engine;
  /** Where there is Postgres: calls `wake` after each transaction, of any process, that called `notify`. */
  listen?(wake: () => void): () => void;
  notify?(trx: Kysely<Schema>): Promise<void>;
  /** @throws Problem `database_unavailable` */
  ping(): Promise<void>;
  close(): Promise<void>;
}

const QUERY_MS = 10_000;
/** Of the longest migration, and of the wait for another process that runs it. */
const MIGRATION_MS = 600_000;

/**
 * Opens the database, creates it where it is SQLite and not there yet, and brings its schema up to date.
 *
 * @param url `sqlite:/path`, `sqlite::memory:` or `postgres://…`
 * @throws Problem `database_unavailable`, `storage_full`
 */
export async function openDatabase(url: string): Promise<Database> {
  const engine = /^postgres(ql)?:/.test(url) ? 'postgres' : 'sqlite';
  const open = (limitMs: number) =>
    new Kysely<Schema>({
      dialect:
        engine === 'postgres'
          ? postgresDialect(url, limitMs)
          : sqliteDialect(url.slice('sqlite:'.length), limitMs),
    });
  const kysely = open(QUERY_MS);
  const patient = url === 'sqlite::memory:' ? kysely : open(MIGRATION_MS);
  try {
    await migrate(patient, engine);
  } catch (error) {
    await kysely.destroy();
    throw error;
  } finally {
    if (patient !== kysely) await patient.destroy();
  }
  return {
    kysely,
    engine,
    ...(engine === 'postgres' && { listen: (wake: () => void) => listen(url, wake), notify }),
    ping: async () => void (await sql`select 1`.execute(kysely)),
    close: () => kysely.destroy(),
  };
}
