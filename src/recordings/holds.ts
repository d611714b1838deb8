import { createHash } from 'node:crypto';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/open.ts';
import type { Engine, HoldRow, Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';

/** What a hold is on: one recording, or every recording of an account. */
export interface HoldSubject {
  accountId: string;
  externalId?: string | undefined;
}

/** A legal hold: nothing that it is on may be erased or replaced. */
export interface Hold extends HoldSubject {
  reason: string;
  placedAt: Date;
}

/** Class of the advisory locks: any number, the same in every version. */
const lockClass = 7_152_047;

/** The legal holds. @throws Problem `database_unavailable` from every method */
export class Holds {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /**
   * Places a hold, or gives the hold that is there another reason. It is in force once this resolves: no removal that
   * is under way ends later.
   *
   * @throws Problem `not_found` if there is nothing to hold: a mistyped id must not look like a hold
   */
  async place(subject: HoldSubject, reason: string): Promise<Hold> {
    const { accountId, externalId } = subject;
    return this.#db.kysely.transaction().execute(async (trx) => {
      await lockAccount(trx, this.#db.engine, accountId, 'exclusive');
      const recording = await trx
        .selectFrom('recordings')
        .select('id')
        .where('account_id', '=', accountId)
        .$if(externalId !== undefined, (select) => select.where('external_id', '=', externalId!))
        .limit(1)
        .executeTakeFirst();
      if (recording === undefined) throw new Problem('not_found', nothingToHold(subject));
      const row = await trx
        .insertInto('holds')
        .values({ ...columnsOf(subject), reason, placed_at: Date.now() })
        .onConflict((conflict) => conflict.columns(['account_id', 'external_id']).doUpdateSet({ reason }))
        .returningAll()
        .executeTakeFirstOrThrow();
      return holdOf(row);
    });
  }

  /** @returns whether there was such a hold. A hold on the account is not one on its recording. */
  async release(subject: HoldSubject): Promise<boolean> {
    const released = await this.#db.kysely
      .deleteFrom('holds')
      .where((eb) => eb.and(columnsOf(subject)))
      .returning('placed_at')
      .executeTakeFirst();
    return released !== undefined;
  }

  /** Every hold, or those of an account. A hold on a whole account comes before those on its recordings. */
  async list(accountId?: string): Promise<Hold[]> {
    const rows = await this.#db.kysely
      .selectFrom('holds')
      .selectAll()
      .$if(accountId !== undefined, (select) => select.where('account_id', '=', accountId!))
      .orderBy('account_id')
      .orderBy('external_id')
      .execute();
    return rows.map(holdOf);
  }

  /** The hold that a recording is under: its own, or that of its account. Without `externalId` the account's. */
  on(subject: HoldSubject): Promise<Hold | undefined> {
    return find(this.#db.kysely, subject);
  }

  /** @throws Problem `held` if the recording is under a hold */
  async requireNone(subject: HoldSubject): Promise<void> {
    requireNot(await this.on(subject));
  }
}

/**
 * To be called in the transaction that removes or replaces a recording. It orders that transaction and those that place
 * a hold or a retention rule: whichever comes later sees what the other did.
 *
 * @throws Problem `held`
 */
export async function requireNoHold(
  trx: Kysely<Schema>,
  engine: Engine,
  recording: Required<HoldSubject>,
): Promise<void> {
  await lockAccount(trx, engine, recording.accountId, 'shared');
  requireNot(await find(trx, recording));
}

/**
 * Locks what decides whether recordings of an account are kept, until the end of the transaction. SQLite has one
 * writing transaction at a time anyway.
 */
export async function lockAccount(
  trx: Kysely<Schema>,
  engine: Engine,
  accountId: string,
  mode: 'shared' | 'exclusive',
): Promise<void> {
  if (engine === 'sqlite') return;
  const id = createHash('sha256').update(accountId).digest().readInt32LE();
  const lock = mode === 'shared' ? 'pg_advisory_xact_lock_shared' : 'pg_advisory_xact_lock';
  await sql`select ${sql.raw(lock)}(${sql.lit(lockClass)}, ${sql.lit(id)})`.execute(trx);
}

async function find(db: Kysely<Schema>, { accountId, externalId = '' }: HoldSubject) {
  const row = await db
    .selectFrom('holds')
    .selectAll()
    .where('account_id', '=', accountId)
    .where('external_id', 'in', [externalId, ''])
    .orderBy('external_id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return row && holdOf(row);
}

function requireNot(hold: Hold | undefined): void {
  if (hold === undefined) return;
  const { accountId, externalId, reason, placedAt } = hold;
  const [what, id] = externalId === undefined ? ['account', ''] : ['recording', ` --id ${externalId}`];
  throw new Problem(
    'held',
    `This ${what} is under a legal hold (${reason}), so the recording can be neither erased nor replaced. To release it: playhead hold release --account ${accountId}${id}`,
    { extra: { hold: { on: what, reason, placedAt } } },
  );
}

function nothingToHold({ accountId, externalId }: HoldSubject): string {
  return externalId === undefined
    ? `The account ${accountId} has no recordings.`
    : 'There is no recording with this account and id.';
}

function columnsOf({ accountId, externalId = '' }: HoldSubject) {
  return { account_id: accountId, external_id: externalId };
}

function holdOf({ account_id, external_id, reason, placed_at }: HoldRow): Hold {
  const placed = { accountId: account_id, reason, placedAt: new Date(placed_at) };
  return external_id === '' ? placed : { ...placed, externalId: external_id };
}
