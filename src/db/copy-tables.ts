import { createHash } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Engine, Schema } from './schema.ts';

/** A database, or a transaction in one. */
export interface Side {
  kysely: Kysely<Schema>;
  engine: Engine;
}

type Row = Record<string, unknown>;
/** The same database without knowledge of its tables: a new table needs no new line here. */
type AnyTables = Kysely<Record<string, Row>>;

interface Table {
  name: string;
  columns: string[];
  /** Columns whose numbers Postgres assigns. */
  identities: string[];
}

const rowsAtOnce = 500;
/** SQLite allows 32,766 parameters in one statement, and Postgres 65,535. */
const maxParameters = 30_000;
/** The mark of a moved database belongs to one database and is never copied. */
const uncopied = ['database_moves'];

/**
 * Copies every table into an empty database with the same schema, and reads the copy back. Run it in a transaction
 * on each side: the source then stands still, and the target gets all or nothing.
 *
 * @param onRows is called with the number of rows that were copied since the last call
 * @returns the number of rows of each table
 * @throws Error if a table of the copy differs from its source
 */
export async function copyTables(
  source: Side,
  target: Side,
  onRows: (rows: number) => void = () => {},
): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of await tablesOf(source)) {
    const sent = new Sum(table);
    for await (const rows of readRows(source, table.name)) {
      await insert(target, table, rows);
      sent.add(rows);
      onRows(rows.length);
    }
    const arrived = new Sum(table);
    for await (const rows of readRows(target, table.name)) arrived.add(rows);
    if (!sent.equals(arrived))
      throw new Error(`The copy of the table ${table.name} differs from its source.`);
    if (target.engine === 'postgres') await setSequences(target, table);
    counts[table.name] = sent.rows;
  }
  return counts;
}

/** The number of rows in all tables. */
export async function countRows(side: Side): Promise<number> {
  let rows = 0;
  for (const { name } of await tablesOf(side)) {
    const { count } = await tablesIn(side)
      .selectFrom(name)
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow();
    rows += Number(count);
  }
  return rows;
}

/** Deletes every row of every table. */
export async function deleteRows(side: Side): Promise<void> {
  for (const { name } of await tablesOf(side)) await tablesIn(side).deleteFrom(name).execute();
}

/** The tables that have all of these columns. */
export async function tablesWith(side: Side, columns: string[]): Promise<string[]> {
  const tables = await tablesOf(side);
  return tables
    .filter((table) => columns.every((column) => table.columns.includes(column)))
    .map((table) => table.name);
}

/** Every table of the schema, but not those of the migrations. */
export async function tablesOf({ kysely, engine }: Side): Promise<Table[]> {
  const tables = await kysely.introspection.getTables();
  const own = engine === 'postgres' ? await currentSchema(kysely) : undefined;
  return tables
    .filter(({ name, schema, isView }) => !isView && schema === own && !uncopied.includes(name))
    .map(({ name, columns }) => ({
      name,
      columns: columns.map((column) => column.name),
      identities: columns.filter((column) => column.isAutoIncrementing).map((column) => column.name),
    }));
}

async function currentSchema(kysely: Kysely<Schema>): Promise<string> {
  const { rows } = await sql<{ name: string }>`select current_schema() as name`.execute(kysely);
  return rows[0]!.name;
}

/** On Postgres by a cursor, because a table may be larger than memory. */
async function* readRows(side: Side, table: string): AsyncGenerator<Row[]> {
  const { kysely, engine } = side;
  if (engine === 'sqlite') {
    let rows: Row[] = [];
    for await (const row of tablesIn(side).selectFrom(table).selectAll().stream()) {
      rows.push(row);
      if (rows.length < rowsAtOnce) continue;
      yield rows;
      rows = [];
    }
    if (rows.length > 0) yield rows;
    return;
  }
  await sql`declare copied_rows no scroll cursor for select * from ${sql.table(table)}`.execute(kysely);
  for (;;) {
    const { rows } = await sql<Row>`fetch ${sql.lit(rowsAtOnce)} from copied_rows`.execute(kysely);
    if (rows.length === 0) break;
    yield rows;
  }
  await sql`close copied_rows`.execute(kysely);
}

async function insert(side: Side, { name, columns }: Table, rows: Row[]): Promise<void> {
  const step = Math.max(1, Math.floor(maxParameters / columns.length));
  for (let at = 0; at < rows.length; at += step) {
    await tablesIn(side)
      .insertInto(name)
      .values(rows.slice(at, at + step))
      .execute();
  }
}

/** The next number that Postgres assigns must be higher than those that were copied. */
async function setSequences({ kysely }: Side, { name, identities }: Table): Promise<void> {
  for (const column of identities) {
    const highest = sql`(select max(${sql.ref(column)}) from ${sql.table(name)})`;
    // Without rows the sequence stays as it is, because null has no effect.
    await sql`select setval(pg_get_serial_sequence(${name}, ${column}), ${highest})`.execute(kysely);
  }
}

/** The sum of the digests of all rows. The order of the rows does not matter, because engines order text differently. */
class Sum {
  readonly #columns: string[];
  #sum = 0n;
  rows = 0;

  constructor({ columns }: Table) {
    this.#columns = columns.toSorted();
  }

  add(rows: Row[]): void {
    for (const row of rows) {
      const values = this.#columns.map((column) => comparable(row[column]));
      const digest = createHash('sha256').update(JSON.stringify(values)).digest();
      this.#sum = BigInt.asUintN(64, this.#sum + digest.readBigUInt64LE());
    }
    this.rows += rows.length;
  }

  equals(other: Sum): boolean {
    return this.rows === other.rows && this.#sum === other.#sum;
  }
}

/** The same for both engines: bytes are a Uint8Array on SQLite and a Buffer on Postgres. */
function comparable(value: unknown): unknown {
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString('base64') } : value;
}

function tablesIn({ kysely }: Side): AnyTables {
  return kysely as unknown as AnyTables;
}
