import { copyTables } from './copy-tables.ts';
import { type Database, openDatabase } from './open.ts';
import { backupFile } from './sqlite.ts';

/**
 * Writes the whole database, as it is at one instant, to a new SQLite file. Other processes may write meanwhile.
 *
 * @param onProgress is called with the number of rows or pages that were copied since the last call
 * @throws Problem `database_unavailable`, `storage_full`
 */
export async function snapshot(
  db: Database,
  path: string,
  onProgress: (steps: number) => void,
): Promise<void> {
  if (db.file !== undefined) return backupFile(db.file, path, onProgress);
  const copy = await openDatabase(`sqlite:${path}`);
  try {
    await db.kysely
      .transaction()
      .setIsolationLevel('repeatable read')
      .execute((source) =>
        copy.kysely.transaction().execute(async (target) => {
          const from = { kysely: source, engine: db.engine };
          await copyTables(from, { kysely: target, engine: copy.engine }, onProgress);
        }),
      );
  } finally {
    await copy.close();
  }
}
