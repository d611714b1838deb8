import { copyTables, countRows, deleteRows } from '../db/copy-tables.ts';
import { denyWrites, mark, readMark, removeMark } from '../db/moved.ts';
import { type Database, openForMove } from '../db/open.ts';

export interface MoveDatabaseOptions {
  /** The URL of the SQLite database. */
  from: string;
  /** The URL of the Postgres database. */
  to: string;
  onProgress(rows: number): void;
}

export interface MoveDatabaseSummary {
  /** The new database, without user and password. */
  target: string;
  /** The rows of each table that were copied and compared. Empty if an earlier run had copied them. */
  tables: Record<string, number>;
}

/**
 * Moves everything from SQLite to an empty Postgres database. While the rows are copied, gateways on the SQLite file
 * can read and not write. Three commits, and killed between any of them nothing that was acknowledged is lost:
 *
 * 1. The target gets all rows, and a mark: the copy is incomplete. No gateway starts on it.
 * 2. The source, whose write lock was held since before the copy, gets a mark and denies writes from then on.
 * 3. The mark of the target is removed.
 *
 * Killed before the second, the source is in use as before, and the next run copies anew. Killed after it, the next
 * run does the third.
 *
 * @throws Error with a sentence if the target is not empty or the source was moved to another database, and what the
 *   databases throw
 */
export async function moveDatabase({
  from,
  to,
  onProgress,
}: MoveDatabaseOptions): Promise<MoveDatabaseSummary> {
  const target = publicUrl(to);
  const source = await openForMove(from);
  let copy: Database | undefined;
  try {
    copy = await openForMove(to);
    const done = await readMark(source.kysely);
    if (done && done.target !== target) throw new Error(`The database was moved to ${done.target} before.`);
    const tables = done ? {} : await copyAndMark(source, copy, target, onProgress);
    if (done) await requireRows(copy, target);
    await removeMark(copy.kysely);
    return { target, tables };
  } finally {
    await source.close();
    await copy?.close();
  }
}

async function copyAndMark(
  source: Database,
  copy: Database,
  target: string,
  onProgress: (rows: number) => void,
): Promise<MoveDatabaseSummary['tables']> {
  // Takes the write lock of the source until it is marked.
  return source.kysely.transaction().execute(async (from) => {
    const tables = await copy.kysely.transaction().execute(async (to) => {
      const side = { kysely: to, engine: copy.engine };
      const isLeftOver = (await readMark(to))?.state === 'incomplete';
      if (isLeftOver) {
        await deleteRows(side);
        await removeMark(to);
      }
      const rows = await countRows(side);
      if (rows > 0) throw new Error(`${target} is not empty, it has ${rows} rows: name an empty database.`);
      const counts = await copyTables({ kysely: from, engine: source.engine }, side, onProgress);
      await mark(to, { target, state: 'incomplete' });
      return counts;
    });
    await mark(from, { target, state: 'moved' });
    await denyWrites(from, target);
    return tables;
  });
}

/** After a finished move the target has rows, unless somebody has emptied it. */
async function requireRows(copy: Database, target: string): Promise<void> {
  if ((await countRows(copy)) > 0) return;
  throw new Error(`The database was moved to ${target} before, and that is empty now: restore a backup.`);
}

/** A database URL without user, password and options. */
function publicUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}
