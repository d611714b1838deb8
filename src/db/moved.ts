import { type Kysely, sql } from 'kysely';
import { Problem } from '../errors.ts';
import { ConfigError } from '../settings/config.ts';
import { tablesOf } from './copy-tables.ts';
import type { DatabaseMoveRow, Schema } from './schema.ts';

/** A database that was moved, or is the unfinished copy of one, has one row in `database_moves`. */
export type Mark = Pick<DatabaseMoveRow, 'target' | 'state'>;

/** @returns undefined if the database is in use, or has no schema yet */
export async function readMark(kysely: Kysely<Schema>): Promise<Mark | undefined> {
  const tables = await kysely.introspection.getTables();
  if (!tables.some(({ name }) => name === 'database_moves')) return undefined;
  return kysely.selectFrom('database_moves').select(['target', 'state']).executeTakeFirst();
}

/** @throws ConfigError if the database was moved, or is the unfinished copy of one */
export async function requireInUse(kysely: Kysely<Schema>): Promise<void> {
  const mark = await readMark(kysely);
  if (mark?.state === 'moved') {
    throw new ConfigError(
      `PLAYHEAD_DATABASE_URL names a database that was moved to ${mark.target}: set it to that database.`,
    );
  }
  if (mark?.state === 'incomplete') {
    throw new ConfigError(
      'PLAYHEAD_DATABASE_URL names the unfinished copy of another database: run playhead move-database again.',
    );
  }
}

/** @throws Problem `database_unavailable` if the database was moved while this process had it open */
export async function requireWritable(kysely: Kysely<Schema>): Promise<void> {
  const mark = await kysely.selectFrom('database_moves').select('target').executeTakeFirst();
  if (mark === undefined) return;
  throw new Problem('database_unavailable', undefined, { cause: new Error(movedTo(mark.target)) });
}

export async function mark(trx: Kysely<Schema>, { target, state }: Mark): Promise<void> {
  await trx.insertInto('database_moves').values({ target, state, at: Date.now() }).execute();
}

export async function removeMark(kysely: Kysely<Schema>): Promise<void> {
  await kysely.deleteFrom('database_moves').execute();
}

/**
 * Makes every write to an SQLite database fail, in every process that has it open: what they would acknowledge would
 * be lost. Reads still work, so streams continue. The new triggers take effect with the transaction.
 */
export async function denyWrites(trx: Kysely<Schema>, target: string): Promise<void> {
  for (const { name } of await tablesOf({ kysely: trx, engine: 'sqlite' })) {
    for (const change of ['insert', 'update', 'delete']) {
      await sql`create trigger ${sql.ref(`moved_${name}_${change}`)} before ${sql.raw(change)} on ${sql.table(name)}
        begin select raise(abort, ${sql.lit(movedTo(target))}); end`.execute(trx);
    }
  }
}

function movedTo(target: string): string {
  return `the database was moved to ${target}`;
}
