import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteAdapter,
  type SqliteDatabase,
  type SqliteDialectConfig,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqliteStatement,
} from 'kysely';
import { Problem } from '../errors.ts';
import { ConfigError } from '../settings/config.ts';

/** For the first look at the file, while the process has nothing else to do. */
const OPEN_MS = 5_000;

/** Primary result codes: sqlite.org/rescode.html. */
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
/** Those that mean: not now, or not here. */
const away = new Set([SQLITE_BUSY, 6 /* locked */, 8 /* read-only */, 10 /* i/o */, 14 /* cannot open */]);

/**
 * Kysely's SQLite dialect over Node's own `node:sqlite`.
 *
 * @param file a path, created readable by its owner alone, or `:memory:`
 * @param limitMs how long to wait for another process's transaction
 */
export function sqliteDialect(file: string, limitMs: number): Dialect {
  return {
    createDriver: () => new PatientDriver({ database: async () => open(file) }, limitMs),
    createAdapter: () => new TransactionalAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  };
}

/** @throws ConfigError where the file cannot be made, read, or is no database */
function open(file: string): SqliteDatabase {
  try {
    return prepared(file);
  } catch (error) {
    const code = primaryCode(error);
    if (code !== undefined && code !== SQLITE_NOTADB) throw error;
    const reason = (error as Error).message;
    throw new ConfigError(`PLAYHEAD_DATABASE_URL names a file that cannot be used: ${reason}.`, {
      cause: error,
    });
  }
}

function prepared(file: string): SqliteDatabase {
  if (file !== ':memory:') {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // The files beside it (-wal, -shm) take over its mode.
    closeSync(openSync(file, 'a', 0o600));
  }
  const database = new DatabaseSync(file, { timeout: OPEN_MS, enableForeignKeyConstraints: true });
  try {
    // FULL, not NORMAL: what was acknowledged must outlive a power cut, and writes are few.
    database.exec('pragma journal_mode = wal; pragma synchronous = full');
    // From here on PatientDriver waits, and the event loop does not stand still meanwhile.
    database.exec('pragma busy_timeout = 0');
  } catch (error) {
    database.close();
    throw error;
  }
  return { prepare: (text) => statement(database.prepare(text)), close: () => database.close() };
}

/** node:sqlite does not say whether a statement yields rows; its columns do. */
function statement(compiled: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
  return {
    reader: compiled.columns().length > 0,
    all: (parameters) => compiled.all(...values(parameters)),
    run: (parameters) => compiled.run(...values(parameters)),
    iterate: (parameters) => compiled.iterate(...values(parameters)),
  };
}

/** Waits while another process writes, and tells what is wrong with the database apart from a wrong query. */
class PatientDriver extends SqliteDriver {
  readonly #limitMs: number;
  #connection: DatabaseConnection | undefined;

  constructor(config: SqliteDialectConfig, limitMs: number) {
    super(config);
    this.#limitMs = limitMs;
  }

  override async init(): Promise<void> {
    await this.#patiently(() => super.init());
    const inner = await super.acquireConnection();
    this.#connection = {
      executeQuery: (query) => this.#patiently(() => inner.executeQuery(query)),
      streamQuery: (query) => inner.streamQuery(query, 1),
    };
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection!;
  }

  /**
   * Takes the write lock at the start: a transaction that reads first and then writes would otherwise fail
   * at once, without a chance to wait, when another process has written in between.
   */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  /** SQLite itself rolls back on a full disk and some other errors; then there is nothing left to do. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await super.rollbackTransaction(connection).catch((error: Error) => {
      if (!/no transaction is active/.test(error.message)) throw error;
    });
  }

  /** A statement that met a busy database did nothing, so it may be given again. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#limitMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (primaryCode(error) !== SQLITE_BUSY || performance.now() > deadline) throw translate(error);
      }
      await sleep(1 + Math.random() * 10);
    }
  }
}

/** SQLite rolls back changes of the schema like any other; Kysely assumes that it does not. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function translate(error: unknown): unknown {
  const code = primaryCode(error);
  if (code === SQLITE_FULL) return new Problem('storage_full', 'The database has no room.', { cause: error });
  if (code === undefined || !away.has(code)) return error;
  return new Problem('database_unavailable', undefined, { cause: error });
}

/** The upper bits of a result code only refine it. */
function primaryCode(error: unknown): number | undefined {
  const code = (error as { errcode?: number }).errcode;
  return code === undefined ? undefined : code & 0xff;
}
