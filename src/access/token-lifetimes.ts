import type { Database } from '../db/open.ts';

/** How long a process may sign tokens of a lifetime before it records the lifetime again. */
const usePeriodMs = 86_400_000;

/**
 * The lifetimes of the tokens that any process has signed, in the database: each process has its own setting. A
 * revocation must outlive the longest of them.
 */
export class TokenLifetimes {
  readonly #db: Database;
  readonly #now: () => number;
  /** Until then, this process has recorded its lifetime. */
  #recordedUntil = 0;

  constructor(db: Database, now: () => number) {
    this.#db = db;
    this.#now = now;
  }

  /**
   * Records that tokens of this lifetime are signed. Call it before signing: it costs a query twice a day.
   *
   * @throws Problem `database_unavailable`
   */
  async record(ttlMs: number): Promise<void> {
    // The second half of the period is for clocks that differ.
    if (this.#now() < this.#recordedUntil - usePeriodMs / 2) return;
    const used_until = this.#now() + usePeriodMs;
    await this.#db.kysely
      .insertInto('token_lifetimes')
      .values({ ttl_ms: ttlMs, used_until })
      .onConflict((conflict) =>
        conflict
          .column('ttl_ms')
          .doUpdateSet({ used_until })
          .where('token_lifetimes.used_until', '<', used_until),
      )
      .execute();
    this.#recordedUntil = used_until;
  }

  /**
   * The longest lifetime of any token that can be valid now, in ms; 0 if there is none.
   *
   * @throws Problem `database_unavailable`
   */
  async longestMs(): Promise<number> {
    const row = await this.#db.kysely
      .selectFrom('token_lifetimes')
      .select((eb) => eb.fn.max('ttl_ms').as('ttl_ms'))
      .where((eb) => eb(eb('used_until', '+', eb.ref('ttl_ms')), '>', this.#now()))
      .executeTakeFirstOrThrow();
    return row.ttl_ms ?? 0;
  }
}
