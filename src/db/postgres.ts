import { type Dialect, type Kysely, PostgresDialect, type PostgresPoolClient, sql } from 'kysely';
import pg from 'pg';
import { Problem } from '../errors.ts';
import type { Schema } from './schema.ts';

/** Of one process; its queries are few and short, since ranges are served from memory. */
const POOL = 10;
const CONNECT_MS = 5_000;
const RECONNECT_MS = 2_000;
const INT8 = 20;

/**
 * Kysely's Postgres dialect over `pg`. The pool reconnects by itself; a query that the server does not
 * answer in time is given up on both sides.
 *
 * @param limitMs for one query
 */
export function postgresDialect(url: string, limitMs: number): Dialect {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'playhead',
    max: POOL,
    keepAlive: true,
    // A server that has gone silent never says goodbye, and must not keep a process that is done.
    allowExitOnIdle: true,
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: limitMs,
    idle_in_transaction_session_timeout: limitMs,
    // Longer than the server's own limit, for a server or a network that has gone silent.
    query_timeout: limitMs + 2_000,
    types: {
      // Instants and sizes fit a double; pg would hand them over as text.
      getTypeParser: (oid, format) => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format)),
    },
  });
  // A connection that breaks while nobody waits for it says so here; the next query finds out by itself.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return new PostgresDialect({
    pool: {
      options: pool.options,
      connect: async () => guarded(await pool.connect().catch(refuse)),
      end: () => pool.end(),
    },
  });
}

const CHANNEL = 'playhead_changes';

/** Wakes every listener of this database once the transaction is committed. */
export async function notify(trx: Kysely<Schema>): Promise<void> {
  await sql`select pg_notify(${CHANNEL}, '')`.execute(trx);
}

/**
 * Keeps one connection, apart from the pool, that hears of notifications. They are wake-ups, not messages:
 * one that is lost while the connection is down costs the wait for the next poll and nothing else.
 *
 * @returns ends it
 */
export function listen(url: string, wake: () => void): () => void {
  let client: pg.Client;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const connect = async () => {
    client = new pg.Client({
      connectionString: url,
      application_name: 'playhead',
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_MS,
    });
    client.on('error', () => {});
    client.on('notification', wake);
    const lost = new Promise((resolve) => client.once('end', resolve));
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
      (client as pg.Client & { unref(): void }).unref(); // it has no say in when the process ends
      wake(); // for what was missed until now
      await lost;
    } catch {
      // Tried again below, as after a connection that was lost. A server that refuses to listen, such as one
      // that only follows another, still holds this one.
      void client.end();
    }
    if (!ended) timer = setTimeout(connect, RECONNECT_MS).unref();
  };
  connect();
  return () => {
    ended = true;
    clearTimeout(timer);
    void client.end();
  };
}

/** A client that tells what is wrong with the database apart from what is wrong with a query. */
function guarded(client: pg.PoolClient): PostgresPoolClient {
  let broken = false;
  const query = async (text: string, parameters: readonly unknown[]) => {
    try {
      return await client.query(text, [...parameters]);
    } catch (error) {
      if ((error as { code?: unknown }).code === DISK_FULL) {
        throw new Problem('storage_full', 'The database has no room.', { cause: error });
      }
      broken ||= isAway(error);
      throw broken ? unavailable(error) : error;
    }
  };
  return {
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy) => client.release(destroy || broken),
  };
}

const DISK_FULL = '53100';
/** Classes of SQLSTATE (appendix A of the manual): connection, resources, operator intervention, system. */
const awayClasses = new Set(['08', '53', '57', '58']);
/** The server now follows the one that took its place; a new connection finds that one. */
const READ_ONLY = '25006';

function isAway(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  // An error without SQLSTATE never came from the server: refused, reset, timed out.
  if (typeof code !== 'string' || !(error instanceof pg.DatabaseError)) return true;
  return code === READ_ONLY || awayClasses.has(code.slice(0, 2));
}

function unavailable(cause: unknown): Problem {
  return new Problem('database_unavailable', undefined, { cause });
}

function refuse(cause: unknown): never {
  throw unavailable(cause);
}
