import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { FileStore } from '../origins/file/file.ts';

const rowsAtOnce = 1_000;
/** The shape of the keys that ingest makes. A file with another name belongs to somebody else. */
const storeKey = /^[0-9a-f]{2}\/[0-9a-f-]{36}$/;

/** The keys of files in a folder store that look like recordings and belong to none, nor to an upload under way. */
export async function findOrphans(db: Kysely<Schema>, folder: Pick<FileStore, 'keys'>): Promise<string[]> {
  const known = new Set<string>();
  for await (const key of knownKeys(db)) known.add(key);
  const unknown: string[] = [];
  for await (const key of folder.keys()) if (storeKey.test(key) && !known.has(key)) unknown.push(key);
  // Some may have been stored since the database was read.
  const orphans: string[] = [];
  for (let at = 0; at < unknown.length; at += rowsAtOnce) {
    const keys = unknown.slice(at, at + rowsAtOnce);
    const taken = new Set<string | null>();
    for (const table of ['uploads', 'recordings'] as const) {
      for (const { key } of await db.selectFrom(table).select('key').where('key', 'in', keys).execute())
        taken.add(key);
    }
    orphans.push(...keys.filter((key) => !taken.has(key)));
  }
  return orphans;
}

async function* knownKeys(db: Kysely<Schema>): AsyncGenerator<string> {
  for (const { key } of await db.selectFrom('uploads').select('key').execute()) yield key;
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('recordings')
      .select(['id', 'key'])
      .where('id', '>', after)
      .orderBy('id')
      .limit(rowsAtOnce)
      .execute();
    if (rows.length === 0) return;
    for (const { key } of rows) if (key !== null) yield key;
    after = rows.at(-1)!.id;
  }
}
