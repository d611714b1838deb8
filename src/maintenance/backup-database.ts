import { sql } from 'kysely';
import { tablesWith } from '../db/copy-tables.ts';
import type { Database } from '../db/open.ts';

type Subject = { account_id: string; external_id: string };

const rowsAtOnce = 500;
/** They mean something to running processes only, or to the stores that they use. */
const runningState = ['leases', 'uploads', 'changes', 'store_moves'] as const;
/** An erased recording may be sent again, and its old URLs must not play it. */
const outlivesErasure = 'revocations';

/** A name of the database that stays the same through restores and moves: the id of its first signing key. */
export async function nameOf(db: Database): Promise<string> {
  const row = await db.kysely.selectFrom('signing_keys').select('kid').orderBy('ordinal').executeTakeFirst();
  if (row) return row.kid;
  throw new Error('The database is empty: no gateway was ever started on it.');
}

/** How many recordings have audio in the store, and its bytes. */
export async function totals({ kysely }: Database): Promise<{ recordings: number; bytes: number }> {
  const { count, bytes } = await kysely
    .selectFrom('recordings')
    .select((eb) => [eb.fn.countAll<number>().as('count'), eb.fn.sum<number | null>('size').as('bytes')])
    .where('origin', '=', 'store')
    .where('key', 'is not', null)
    .executeTakeFirstOrThrow();
  return { recordings: Number(count), bytes: Number(bytes ?? 0) };
}

/** Those of `keys` that a recording has. */
export async function usedKeys({ kysely }: Database, keys: string[]): Promise<Set<string>> {
  const used = new Set<string>();
  for (let at = 0; at < keys.length; at += rowsAtOnce) {
    const some = keys.slice(at, at + rowsAtOnce);
    const rows = await kysely.selectFrom('recordings').select('key').where('key', 'in', some).execute();
    for (const { key } of rows) used.add(key!);
  }
  return used;
}

/**
 * Removes the recordings from the copy that were erased since the copy was made, with every row that names them.
 *
 * @returns their ids
 */
export async function removeErased(db: Database, copy: Database): Promise<Set<string>> {
  const erased = new Set<string>();
  for (let after = ''; ; ) {
    const rows = await copy.kysely
      .selectFrom('recordings')
      .select(['id', 'account_id', 'external_id'])
      .where('id', '>', after)
      .orderBy('id')
      .limit(rowsAtOnce)
      .execute();
    if (rows.length === 0) return erased;
    const ids = rows.map(({ id }) => id);
    const current = await db.kysely.selectFrom('recordings').select('id').where('id', 'in', ids).execute();
    const known = new Set(current.map(({ id }) => id));
    for (const row of rows.filter(({ id }) => !known.has(id))) {
      await eraseRows(copy, row);
      erased.add(row.id);
    }
    after = ids.at(-1)!;
  }
}

/** Deletes what only running processes use, and makes one file without the content of deleted rows. */
export async function tidy(copy: Database): Promise<void> {
  for (const table of runningState) await copy.kysely.deleteFrom(table).execute();
  await sql`vacuum`.execute(copy.kysely);
  await sql`pragma journal_mode = delete`.execute(copy.kysely);
}

async function eraseRows(copy: Database, { account_id, external_id }: Subject): Promise<void> {
  for (const table of await tablesWith(copy, ['account_id', 'external_id'])) {
    if (table === outlivesErasure) continue;
    await sql`delete from ${sql.table(table)} where account_id = ${account_id} and external_id = ${external_id}`.execute(
      copy.kysely,
    );
  }
}
