import type { Transaction } from 'kysely';
import type { Database } from './open.ts';
import type { Schema } from './schema.ts';

/** What every process must hear of within seconds, and what its subject says. */
export type ChangeKind =
  /** A recording was replaced, refused anew or removed: JSON of [accountId, externalId]. */
  | 'recording'
  /** URLs were revoked: JSON of the row. */
  | 'revocation'
  /** The key ring changed: the kid. */
  | 'keys'
  /** The generated API key changed: its hash. */
  | 'api-key';

type Listener = (subject: string) => void | Promise<void>;
export type RecordChange = (kind: ChangeKind, subject: string) => Promise<void>;

const POLL_MS = 2_000;
/** How long a poll that was asked for by the database waits for more to come. */
const WAKE_MS = 50;
/**
 * Longer than it may take from the number of a row to its commit, so that a row which becomes visible late is
 * still seen: the notification and the commit take 12 s each at the most, and a process may stand still for
 * 10 s before either of them (postgres.ts).
 */
const LATE_MS = 45_000;
/** How far behind the newest row a starting process begins, for the same reason. */
const LATE_ROWS = 1_000;
const KEEP_MS = 7 * 86_400_000;
const PRUNE_EVERY_MS = 3_600_000;

/**
 * The change feed: rows written in the transaction that makes the change and read by every process that
 * shares the database: when Postgres says so, and by polling in any case. A row may be handed to the
 * listeners more than once, so what they do on it must be the same done twice. While the database is away
 * the feed keeps trying and then catches up.
 */
export class Changes {
  readonly #db: Database;
  readonly #listeners = new Map<ChangeKind, Listener[]>();
  readonly #pollMs: number;
  readonly #stopListening: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> | undefined;
  #woken = false;
  #closed = false;
  /** Every row up to this one has been visible for LATE_MS, so nothing below it can be new. */
  #floor: number;
  /** Rows above the floor that the listeners have heard of. */
  readonly #told = new Set<number>();
  /** The newest row at each poll since the floor, and when that was (monotonic milliseconds). */
  #newest: { seq: number; at: number }[] = [];
  #prunedAt = 0;

  private constructor(db: Database, pollMs: number, newest: number) {
    this.#db = db;
    this.#pollMs = pollMs;
    this.#floor = newest - LATE_ROWS;
    this.#stopListening = db.listen?.(() => this.#wake());
    this.#schedule();
  }

  /** @throws Problem `database_unavailable` */
  static async open(db: Database, pollMs = POLL_MS): Promise<Changes> {
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
   * Runs `work` in a transaction. What it records reaches this process's listeners as soon as the
   * transaction is committed, the other processes' as soon as they look.
   */
  async transaction<T>(work: (trx: Transaction<Schema>, record: RecordChange) => Promise<T>): Promise<T> {
    const made: [ChangeKind, string][] = [];
    const result = await this.#db.kysely.transaction().execute((trx) =>
      work(trx, async (kind, subject) => {
        await trx.insertInto('changes').values({ kind, subject, at: Date.now() }).execute();
        if (made.length === 0) await this.#db.notify?.(trx);
        made.push([kind, subject]);
      }),
    );
    for (const [kind, subject] of made) await this.#tell(kind, subject);
    return result;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stopListening?.();
    await this.#polling;
  }

  #wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    if (this.#polling === undefined) this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    const poll = async () => {
      this.#woken = false;
      // Whatever failed is done again at the next poll: the floor has not moved past it.
      this.#polling = this.#poll().catch(() => {});
      await this.#polling;
      this.#polling = undefined;
      this.#schedule();
    };
    this.#timer = setTimeout(poll, this.#woken ? WAKE_MS : this.#pollMs).unref();
  }

  async #poll(): Promise<void> {
    const { kysely } = this.#db;
    const rows = await kysely
      .selectFrom('changes')
      .select(['seq', 'kind', 'subject'])
      .where('seq', '>', this.#floor)
      .orderBy('seq')
      .execute();
    for (const { seq, kind, subject } of rows) {
      if (this.#told.has(seq)) continue;
      if (await this.#tell(kind as ChangeKind, subject)) this.#told.add(seq);
    }
    this.#raiseFloor(rows.at(-1)?.seq);

    if (Date.now() - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = Date.now();
    await kysely
      .deleteFrom('changes')
      .where('at', '<', Date.now() - KEEP_MS)
      .execute();
  }

  #raiseFloor(newest: number | undefined): void {
    const at = performance.now();
    if (newest !== undefined) this.#newest.push({ seq: newest, at });
    while (this.#newest[0] !== undefined && this.#newest[0].at <= at - LATE_MS) {
      this.#floor = this.#newest.shift()!.seq;
    }
    for (const seq of this.#told) if (seq <= this.#floor) this.#told.delete(seq);
  }

  /** @returns whether every listener was through with it; the row comes round again where one was not */
  async #tell(kind: ChangeKind, subject: string): Promise<boolean> {
    const told = (this.#listeners.get(kind) ?? []).map(async (listener) => listener(subject));
    const results = await Promise.allSettled(told);
    return results.every(({ status }) => status === 'fulfilled');
  }
}
