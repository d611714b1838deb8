import { randomUUID } from 'node:crypto';
import type { Database } from './open.ts';

/** Default lease. Must exceed the CRM's rate-limit window. */
export const defaultLeaseMs = 15_000;

/**
 * Lets one process at a time do what two must not do together. A lease on `portal ID` is for publishing to a portal:
 * each process counts only its own requests, so two of them could exceed the portal's rate limit together.
 */
export class Leases {
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #process = randomUUID();
  /** When each lease of this process expires, by name. */
  readonly #held = new Map<string, number>();

  constructor(db: Database, leaseMs = defaultLeaseMs) {
    this.#db = db;
    this.#leaseMs = leaseMs;
  }

  /**
   * Takes or renews a lease.
   *
   * @returns whether this process has the lease now
   * @throws Problem `database_unavailable`
   */
  async take(name: string): Promise<boolean> {
    const now = Date.now();
    // More than half of the lease is left: no query is needed.
    if ((this.#held.get(name) ?? 0) > now + this.#leaseMs / 2) return true;
    const mine = { process: this.#process, lease_until: now + this.#leaseMs };
    const row = await this.#db.kysely
      .insertInto('leases')
      .values({ name, ...mine })
      .onConflict((conflict) =>
        conflict
          .column('name')
          .doUpdateSet(mine)
          .where((eb) =>
            eb.or([eb('leases.process', '=', this.#process), eb('leases.lease_until', '<=', now)]),
          ),
      )
      .returning('name')
      .executeTakeFirst();
    if (row) this.#held.set(name, mine.lease_until);
    return row !== undefined;
  }

  /** Ends a lease of this process before its time. @throws Problem `database_unavailable` */
  async release(name: string): Promise<void> {
    this.#held.delete(name);
    await this.#db.kysely
      .deleteFrom('leases')
      .where('name', '=', name)
      .where('process', '=', this.#process)
      .execute();
  }
}
