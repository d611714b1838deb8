import { sql } from 'kysely';
import { tablesOf } from '../../src/db/copy-tables.ts';
import type { Database } from '../../src/db/open.ts';

/** A compact JWE (RFC 7516 §7.1) whose key is used directly: its second part is empty. */
const jwe = /^eyJ[\w-]+\.\.[\w.-]+$/;

/** Every sealed text in any column of any table, found by its form. */
export async function sealedIn(db: Database): Promise<{ column: string; text: string }[]> {
  const found: { column: string; text: string }[] = [];
  for (const { name } of await tablesOf(db)) {
    const { rows } = await sql<Record<string, unknown>>`select * from ${sql.table(name)}`.execute(db.kysely);
    for (const row of rows) {
      for (const [column, text] of Object.entries(row)) {
        if (typeof text === 'string' && jwe.test(text)) found.push({ column: `${name}.${column}`, text });
      }
    }
  }
  return found;
}
