import { type Dialect, type Kysely, PostgresDialect, type PostgresPoolClient, sql } from 'kysely';
import pg from 'pg';
import { Problem } from '../errors.ts';
import type { Schema } from './schema.ts';

/** Connections of one process. Its queries are few and short, because ranges are served from memory. */
const poolSize = 10;
const connectTimeoutMs = 5_000;
/** The client cancels a query this long after the server should have. */
export const clientMarginMs = 2_000;
const reconnectDelayMs = 2_000;
const int8Oid = 20;
const channel = 'playhead_changes';

// SQLSTATE codes and classes: appendix A of the Postgres manual.
const diskFull = '53100';
/** The server became a replica; a new connection finds the primary. */
const readOnly = '25006';
/** Connection, resources, operator intervention, system. */
const unavailableClasses = new Set(['08', '53', '57', '58']);

/**
 * Kysely's Postgres dialect over `pg`. The pool reconnects by itself. A query that exceeds its time limit is
 * cancelled by the server and by the client.
 *
 * @param queryTimeoutMs for one query
 */
export function postgresDialect(url: string, queryTimeoutMs: number): Dialect {
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'playhead',
    max: poolSize,
    keepAlive: true,
    // An open connection to a silent server must not keep the process alive.
    allowExitOnIdle: true,
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: queryTimeoutMs,
    idle_in_transaction_session_timeout: queryTimeoutMs,
    // Longer than the server's own limit: it is for a server or a network that went silent.
    query_timeout: queryTimeoutMs + clientMarginMs,
    types: {
      // Instants and sizes fit a double; pg would return them as text.
      getTypeParser: (oid, format) => (oid === int8Oid ? Number : pg.types.getTypeParser(oid, format)),
    },
  });
  // An idle connection that breaks emits `error`, which would end the process. The next query reports the failure.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const connect = async () => {
    const client = await pool.connect().catch((cause: unknown) => {
      throw unavailable(cause);
    });
    return withProblems(client);
  };
  return new PostgresDialect({ pool: { options: pool.options, connect, end: () => pool.end() } });
}

/**
 * An update of no row. A replica rejects it, and its connection is closed, so that the next one finds the primary.
 *
 * @throws Problem `database_unavailable`
 */
export async function probePostgres(db: Kysely<Schema>): Promise<void> {
  await db.updateTable('leases').set({ lease_until: 0 }).where('name', '=', '').execute();
}

/** Wakes every listener of this database once the transaction is committed. */
export async function notify(trx: Kysely<Schema>): Promise<void> {
  await sql`select pg_notify(${channel}, '')`.execute(trx);
}

/**
 * Keeps one connection, outside the pool, that receives notifications. They only wake the change feed: if one
 * is lost while the connection is down, the next poll reads the change.
 *
 * @returns a function that ends the connection
 */
export function listen(url: string, wake: () => void): () => void {
  let client: pg.Client;
  let timer: NodeJS.Timeout | undefined;
  let isEnded = false;
  const connect = async () => {
    client = new pg.Client({
      connectionString: url,
      application_name: 'playhead',
      keepAlive: true,
      connectionTimeoutMillis: connectTimeoutMs,
    });
    client.on('error', () => {});
    client.on('notification', wake);
    const lost = new Promise((resolve) => client.once('end', resolve));
    try {
      await client.connect();
      await client.query(`listen ${channel}`);
      (client as pg.Client & { unref(): void }).unref(); // this connection keeps no process alive
      wake(); // for changes made while nothing listened
      await lost;
    } catch {
      // Retried below, like a lost connection. A server that cannot listen, such as a replica, keeps the
      // connection open, so close it.
      void client.end();
    }
    if (!isEnded) timer = setTimeout(connect, reconnectDelayMs).unref();
  };
  connect();
  return () => {
    isEnded = true;
    clearTimeout(timer);
    void client.end();
  };
}

/** Wraps the client: failures of the database become Problems. Errors in a query stay as they are. */
function withProblems(client: pg.PoolClient): PostgresPoolClient {
  let isBroken = false;
  const query = async (text: string, parameters: readonly unknown[]) => {
    try {
      return await client.query(text, [...parameters]);
    } catch (error) {
      if ((error as { code?: unknown }).code === diskFull) {
        throw new Problem('storage_full', 'The database has no room.', { cause: error });
      }
      isBroken ||= isUnavailable(error);
      throw isBroken ? unavailable(error) : error;
    }
  };
  return {
    query: query as unknown as PostgresPoolClient['query'],
    release: (destroy) => client.release(destroy || isBroken),
  };
}

function isUnavailable(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  // An error without SQLSTATE did not come from the server: connection refused, reset or timed out.
  if (typeof code !== 'string' || !(error instanceof pg.DatabaseError)) return true;
  return code === readOnly || unavailableClasses.has(code.slice(0, 2));
}

function unavailable(cause: unknown): Problem {
  return new Problem('database_unavailable', undefined, { cause });
}
