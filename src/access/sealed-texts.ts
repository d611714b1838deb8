import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** A column that has sealed texts. Empty texts in it are not sealed. */
interface SealedColumn {
  table: keyof Schema;
  /** The primary key of the table, or a unique column. */
  id: string;
  column: string;
}

/** Every column whose texts the vault seals. */
export const sealedColumns: readonly SealedColumn[] = [
  { table: 'signing_keys', id: 'kid', column: 'secret' },
  { table: 'secrets', id: 'name', column: 'sealed' },
  { table: 'installations', id: 'portal_id', column: 'tokens' },
];

export interface SealedText {
  id: string | number;
  sealed: string;
}

/** Which texts: those that begin with one of the prefixes in `by`, or with none in `notBy`. */
export type Sealed = { by: readonly string[] } | { notBy: readonly string[] };

export async function countSealed(kysely: Kysely<Schema>, which: Sealed): Promise<number> {
  let count = 0;
  for (const { table, column } of sealedColumns) {
    const { rows } = await sql<{ count: number }>`
      select count(*) as count from ${sql.table(table)} where ${matches(column, which)}`.execute(kysely);
    count += Number(rows[0]!.count);
  }
  return count;
}

/** Up to `limit` texts of one column in the order of their ids, from the one after `after`. */
export async function readSealed(
  kysely: Kysely<Schema>,
  { table, id, column }: SealedColumn,
  { which, after, limit }: { which: Sealed; after?: SealedText['id'] | undefined; limit: number },
): Promise<SealedText[]> {
  const isLater = after === undefined ? sql`true` : sql`${sql.ref(id)} > ${after}`;
  const { rows } = await sql<SealedText>`
    select ${sql.ref(id)} as id, ${sql.ref(column)} as sealed from ${sql.table(table)}
    where ${matches(column, which)} and ${isLater} order by ${sql.ref(id)} limit ${sql.lit(limit)}`.execute(
    kysely,
  );
  return rows;
}

/** Replaces a sealed text. @returns false, with nothing changed, if it has changed since it was read */
export async function replaceSealed(
  kysely: Kysely<Schema>,
  { table, id, column }: SealedColumn,
  text: SealedText,
  sealed: string,
): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update ${sql.table(table)} set ${sql.ref(column)} = ${sealed}
    where ${sql.ref(id)} = ${text.id} and ${sql.ref(column)} = ${text.sealed}`.execute(kysely);
  return numAffectedRows === 1n;
}

function matches(column: string, which: Sealed): RawBuilder<boolean> {
  // Not `like`: the base64url alphabet has `_`.
  const begins = (prefix: string) =>
    sql`substr(${sql.ref(column)}, 1, ${sql.lit(prefix.length)}) = ${prefix}`;
  const any = (prefixes: readonly string[]) =>
    sql`(${sql.join([sql`false`, ...prefixes.map(begins)], sql` or `)})`;
  const isWanted = 'by' in which ? any(which.by) : sql`not ${any(which.notBy)}`;
  return sql`${sql.ref(column)} <> '' and ${isWanted}`;
}
