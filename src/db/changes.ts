import type { Transaction } from 'kysely';
import type { Database } from './open.ts';
import type { Schema } from './schema.ts';

/** What every process must learn within seconds, and the subject of each kind. */
export type ChangeKind =
  /** A recording was replaced, changed, rejected again or removed: a hash of its ids. */
  | 'recording'
  /** Audio was removed or replaced: JSON of its `Blocks`. */
  | 'audio'
  /** URLs were revoked: JSON of the row. */
  | 'revocation'
  /** The key ring changed: the kid. */
  | 'keys'
  /** An API key was created, replaced or revoked: its name. */
  | 'api-key';

type Listener = (subject: string) => void | Promise<void>;
export type RecordChange = (kind: ChangeKind, subject: string) => Promise<void>;

const defaultPollMs = 2_000;
/** The poll follows a notification by the database after this delay, so that one poll reads several changes. */
const wakeDelayMs = 50;
/**
 * The longest time between the assignment of a row's number and the commit of the row. During this time a poll can
 * see rows with higher numbers but not this one. The notification and the commit take at most 12 s each, and the
 * process may be suspended for 10 s before each of them (postgres.ts).
 */
export const maxCommitDelayMs = 45_000;
/** A new process also reads this many rows before the newest one, because one of them may be committed later. */
const rowsReadBack = 1_000;
const keepMs = 7 * 86_400_000;
const pruneEveryMs = 3_600_000;

/**
 * The change feed. The transaction that makes a change also writes a row. Every process that shares the database
 * reads the row at its next poll, and Postgres triggers that poll by a notification. A row may be delivered to the
 * listeners more than once, so they must be idempotent. While the database is unreachable the feed retries, then
 * catches up.
 */
export class Changes {
  readonly #db: Database;
  readonly #listeners = new Map<ChangeKind, Listener[]>();
  readonly #pollMs: number;
  readonly #stopListening: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #isWoken = false;
  #isClosed = false;
  /**
   * Rows up to this number are not read again. This row was visible for `maxCommitDelayMs`, so no new row can appear
   * below it.
   */
  #floor: number;
  /** Numbers above the floor that were delivered to every listener. */
  readonly #delivered = new Set<number>();
  /** The newest row of each poll since the floor, and the time of the poll by `performance.now()`. */
  #newestRows: { seq: number; at: number }[] = [];
  #prunedAt = 0;

  private constructor(db: Database, pollMs: number, newest: number) {
    this.#db = db;
    this.#pollMs = pollMs;
    this.#floor = newest - rowsReadBack;
    this.#stopListening = db.listen?.(() => this.#wake());
    this.#schedule();
  }

  /** @throws Problem `database_unavailable` */
  static async open(db: Database, pollMs = defaultPollMs): Promise<Changes> {
    const newest = await db.kysely
      .selectFrom('changes')
      .select((eb) => eb.fn.max('seq').as('seq'))
      .executeTakeFirstOrThrow();
    return new Changes(db, pollMs, newest.seq ?? 0);
  }

  on(kind: ChangeKind, listener: Listener): void {
    this.#listeners.set(kind, [...(this.#listeners.get(kind) ?? []), listener]);
  }

  /**
   * Runs `work` in a transaction. The changes that it records are delivered to the listeners of this process
   * right after the commit, and to those of other processes at their next poll.
   */
  async transaction<T>(work: (trx: Transaction<Schema>, record: RecordChange) => Promise<T>): Promise<T> {
    const recorded: [ChangeKind, string][] = [];
    const result = await this.#db.kysely.transaction().execute((trx) =>
      work(trx, async (kind, subject) => {
        await trx.insertInto('changes').values({ kind, subject, at: Date.now() }).execute();
        if (recorded.length === 0) await this.#db.notify?.(trx);
        recorded.push([kind, subject]);
      }),
    );
    for (const [kind, subject] of recorded) await this.#deliver(kind, subject);
    return result;
  }

  /** A row up to which this process has delivered every row. */
  get position(): number {
    return this.#floor;
  }

  /**
   * The subjects of a kind after a position, for what missed them while no process ran.
   *
   * @returns undefined if rows after the position may have been pruned, or the database is an older one
   */
  async since(position: number, kind: ChangeKind): Promise<string[] | undefined> {
    const { oldest, newest } = await this.#db.kysely
      .selectFrom('changes')
      .select((eb) => [eb.fn.min('seq').as('oldest'), eb.fn.max('seq').as('newest')])
      .executeTakeFirstOrThrow();
    const last = Math.max(position, 0); // the position is below every row until there are many
    if (oldest === null || newest === null) return last === 0 ? [] : undefined;
    if (oldest > last + 1 || newest < last) return undefined;
    const rows = await this.#db.kysely
      .selectFrom('changes')
      .select('subject')
      .where('seq', '>', position)
      .where('kind', '=', kind)
      .execute();
    return rows.map(({ subject }) => subject);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#stopListening?.();
    await this.#polling;
  }

  #wake(): void {
    if (this.#isWoken) return;
    this.#isWoken = true;
    if (this.#polling === undefined) this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    const poll = async () => {
      this.#isWoken = false;
      // The next poll repeats what failed: the floor has not moved past it.
      this.#polling = this.#poll().catch(() => {});
      await this.#polling;
      this.#polling = undefined;
      this.#schedule();
    };
    this.#timer = setTimeout(poll, this.#isWoken ? wakeDelayMs : this.#pollMs).unref();
  }

  async #poll(): Promise<void> {
    const rows = await this.#db.kysely
      .selectFrom('changes')
      .select(['seq', 'kind', 'subject'])
      .where('seq', '>', this.#floor)
      .orderBy('seq')
      .execute();
    for (const { seq, kind, subject } of rows) {
      if (this.#delivered.has(seq)) continue;
      if (await this.#deliver(kind as ChangeKind, subject)) this.#delivered.add(seq);
    }
    this.#raiseFloor(rows.at(-1)?.seq);
    await this.#prune();
  }

  #raiseFloor(newest: number | undefined): void {
    const at = performance.now();
    if (newest !== undefined) this.#newestRows.push({ seq: newest, at });
    while (this.#newestRows[0] !== undefined && this.#newestRows[0].at <= at - maxCommitDelayMs) {
      this.#floor = this.#newestRows.shift()!.seq;
    }
    for (const seq of this.#delivered) if (seq <= this.#floor) this.#delivered.delete(seq);
  }

  async #prune(): Promise<void> {
    const now = Date.now();
    if (now - this.#prunedAt < pruneEveryMs) return;
    this.#prunedAt = now;
    await this.#db.kysely
      .deleteFrom('changes')
      .where('at', '<', now - keepMs)
      .execute();
  }

  /** @returns whether every listener succeeded; if not, polls deliver the row again until the floor passes it */
  async #deliver(kind: ChangeKind, subject: string): Promise<boolean> {
    const calls = (this.#listeners.get(kind) ?? []).map(async (listener) => listener(subject));
    const results = await Promise.allSettled(calls);
    return results.every(({ status }) => status === 'fulfilled');
  }
}
