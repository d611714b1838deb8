import { closeSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  type BackupProgressInfo,
  backup,
  DatabaseSync,
  type SQLInputValue,
  type StatementSync,
} from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Kysely,
  SqliteAdapter,
  type SqliteDatabase,
  type SqliteDialectConfig,
  SqliteDriver,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type SqliteStatement,
  sql,
} from 'kysely';
import { Problem } from '../errors.ts';
import { ConfigError } from '../settings/config.ts';
import { prepareFolder } from '../settings/folders.ts';
import type { Schema } from './schema.ts';
import { SqliteFile } from './sqlite-file.ts';

/** How long opening the file may wait for other processes. It blocks the event loop: nothing else runs yet. */
const openTimeoutMs = 5_000;

/** How long a new connection may wait to read. It blocks the event loop. Readers do not wait for writers. */
const readTimeoutMs = 50;
/** Pages of one step of a backup. */
const pagesAtOnce = 1_000;

/** Primary result codes: sqlite.org/rescode.html. */
const codes = {
  busy: 5,
  locked: 6,
  readOnly: 8,
  ioError: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26,
};
/** SQLITE_CONSTRAINT_TRIGGER: the database was moved (moved.ts). */
const deniedByTrigger = 1811;
/** At the start these are errors of the setting. */
const unusableCodes = [codes.readOnly, codes.corrupt, codes.cannotOpen, codes.notADatabase];
const unavailableCodes = [codes.busy, codes.locked, codes.ioError, ...unusableCodes];
const readSchema = 'select count(*) from sqlite_schema';
/** Statements that write nothing. `commit` writes. */
const reads = /^\s*(select|rollback)\b/i;

/**
 * Kysely's SQLite dialect over Node's own `node:sqlite`.
 *
 * @param file a path, or `:memory:`. Only its owner can read a new file.
 * @param busyTimeoutMs how long a query waits while another process writes
 */
export function sqliteDialect(file: string, busyTimeoutMs: number): Dialect {
  return {
    createDriver: () => new RetryingDriver({ database: () => openFile(file) }, busyTimeoutMs),
    createAdapter: () => new TransactionalAdapter(),
    createQueryCompiler: () => new SqliteQueryCompiler(),
    createIntrospector: (db) => new SqliteIntrospector(db),
  };
}

/**
 * Writes to the database, and reads it as a process that opens it now would: the memory of an open connection hides
 * that the file is damaged.
 *
 * @throws Problem `database_unavailable`, `storage_full`
 */
export async function probeSqlite(db: Kysely<Schema>, file: string): Promise<void> {
  // Written to the first page. No code reads it.
  const seconds = Math.floor(Date.now() / 1000) & 0x7fff_ffff;
  await sql`pragma user_version = ${sql.lit(seconds)}`.execute(db);
  if (file === ':memory:') return;
  try {
    const reader = new DatabaseSync(file, { readOnly: true, timeout: readTimeoutMs });
    try {
      reader.prepare(readSchema).get();
    } finally {
      reader.close();
    }
  } catch (error) {
    throw translate(error);
  }
}

/**
 * Copies a database file to a new file, as it is at one instant. Other processes may write meanwhile: the copy has
 * nothing of that.
 *
 * @param onPages is called with the number of pages that were copied since the last call
 * @throws Problem `database_unavailable`, `storage_full`
 */
export async function backupFile(file: string, to: string, onPages: (pages: number) => void): Promise<void> {
  closeSync(openSync(to, 'wx', 0o600));
  const source = new DatabaseSync(file, { timeout: openTimeoutMs, readOnly: true });
  try {
    // Without this read transaction SQLite begins again after each write by another process.
    source.exec('begin');
    source.prepare(readSchema).get();
    let copied = 0;
    const report = (pages: number) => {
      onPages(pages - copied);
      copied = pages;
    };
    // SQLite reports each step but the last one.
    const progress = (now: BackupProgressInfo) => report(now.totalPages - now.remainingPages);
    report(await backup(source, to, { rate: pagesAtOnce, progress }));
  } catch (error) {
    throw translate(error);
  } finally {
    source.close();
  }
}

/** @throws ConfigError if the file cannot be created, read or written, or is not a database */
async function openFile(file: string): Promise<SqliteDatabase> {
  if (file !== ':memory:') await prepareFolder('databaseUrl', dirname(file));
  try {
    return connect(file);
  } catch (error) {
    const code = primaryCode(error);
    // RetryingDriver handles SQLite's other errors.
    if (code !== undefined && !unusableCodes.includes(code)) throw error;
    const reason = (error as Error).message;
    throw new ConfigError(`PLAYHEAD_DATABASE_URL names a file that cannot be used: ${reason}.`, {
      cause: error,
    });
  }
}

function connect(file: string): SqliteDatabase {
  if (file !== ':memory:') create(file);
  const database = new DatabaseSync(file, { timeout: openTimeoutMs, enableForeignKeyConstraints: true });
  try {
    // FULL, not NORMAL: acknowledged writes must survive a power cut, and writes are few.
    database.exec('pragma journal_mode = wal; pragma synchronous = full');
    // Overwrites what is deleted: an erased recording must not be found in the file.
    database.exec('pragma secure_delete = on');
    // A new file has no write-ahead log before it is read.
    database.prepare(readSchema).get();
    // From here on RetryingDriver waits instead, without blocking the event loop.
    database.exec('pragma busy_timeout = 0');
  } catch (error) {
    database.close();
    throw error;
  }
  const inPlace = file === ':memory:' ? undefined : new SqliteFile(file);
  return {
    prepare(text) {
      if (!reads.test(text)) inPlace?.requireInPlace();
      return statement(database.prepare(text));
    },
    close: () => database.close(),
  };
}

/**
 * Creates the file if there is none. SQLite creates the files beside it (-wal, -shm) with the same mode. A file that
 * exists is not opened here: closing it would drop the locks of every connection of this process (sqlite.org/howtocorrupt.html §2.2).
 */
function create(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** node:sqlite does not report whether a statement returns rows. A statement with columns does. */
function statement(compiled: StatementSync): SqliteStatement {
  const values = (parameters: readonly unknown[]) => parameters as SQLInputValue[];
  return {
    reader: compiled.columns().length > 0,
    all: (parameters) => compiled.all(...values(parameters)),
    run: (parameters) => compiled.run(...values(parameters)),
    iterate: (parameters) => compiled.iterate(...values(parameters)),
  };
}

/** Retries while another process writes. Failures of the database are Problems; errors in a query stay as they are. */
class RetryingDriver extends SqliteDriver {
  readonly #busyTimeoutMs: number;
  #connection: DatabaseConnection | undefined;

  constructor(config: SqliteDialectConfig, busyTimeoutMs: number) {
    super(config);
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  override async init(): Promise<void> {
    await this.#retryWhileBusy(() => super.init());
    const inner = await super.acquireConnection();
    this.#connection = {
      executeQuery: (query) => this.#retryWhileBusy(() => inner.executeQuery(query)),
      streamQuery: (query) => inner.streamQuery(query, 1),
    };
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection!;
  }

  /**
   * Takes the write lock at the start. Otherwise a transaction that reads first would fail at its first write,
   * without waiting, if another process wrote in between.
   */
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'));
  }

  /** SQLite rolls back by itself on a full disk and some other errors. Nothing is left to do then. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    await super.rollbackTransaction(connection).catch((error: Error) => {
      if (!/no transaction is active/.test(error.message)) throw error;
    });
  }

  /** Repeats `work` while the database is busy: a statement that found it busy has changed nothing. */
  async #retryWhileBusy<T>(work: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#busyTimeoutMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (primaryCode(error) !== codes.busy || performance.now() > deadline) throw translate(error);
      }
      await sleep(1 + Math.random() * 10);
    }
  }
}

/** SQLite can roll back schema changes. Kysely assumes that it cannot. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

function translate(error: unknown): unknown {
  const code = primaryCode(error);
  if (code === codes.full) return new Problem('storage_full', 'The database has no room.', { cause: error });
  const isDenied = (error as { errcode?: number }).errcode === deniedByTrigger;
  if (code === undefined || !(isDenied || unavailableCodes.includes(code))) return error;
  return new Problem('database_unavailable', undefined, { cause: error });
}

/** The low byte of a result code; the upper bits only refine it. */
function primaryCode(error: unknown): number | undefined {
  const code = (error as { errcode?: number }).errcode;
  return code === undefined ? undefined : code & 0xff;
}
