import { randomUUID } from 'node:crypto';
import type { Database } from '../db/open.ts';

/** Lease on a portal. Must exceed the CRM's rate-limit window. */
export const defaultPortalLeaseMs = 15_000;

/**
 * Lets one process at a time publish to a portal. Each process counts only its own requests, so two of them could
 * exceed the portal's rate limit together.
 */
export class PortalLeases {
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #process = randomUUID();
  /** When each lease of this process expires, by portal. */
  readonly #held = new Map<string, number>();

  constructor(db: Database, leaseMs = defaultPortalLeaseMs) {
    this.#db = db;
    this.#leaseMs = leaseMs;
  }

  /**
   * Takes or renews the lease on a portal.
   *
   * @returns whether this process has the lease now
   * @throws Problem `database_unavailable`
   */
  async take(portal: string): Promise<boolean> {
    const now = Date.now();
    // More than half of the lease is left: no query is needed.
    if ((this.#held.get(portal) ?? 0) > now + this.#leaseMs / 2) return true;
    const mine = { process: this.#process, lease_until: now + this.#leaseMs };
    const row = await this.#db.kysely
      .insertInto('portal_leases')
      .values({ portal, ...mine })
      .onConflict((conflict) =>
        conflict
          .column('portal')
          .doUpdateSet(mine)
          .where((eb) =>
            eb.or([
              eb('portal_leases.process', '=', this.#process),
              eb('portal_leases.lease_until', '<=', now),
            ]),
          ),
      )
      .returning('portal')
      .executeTakeFirst();
    if (row) this.#held.set(portal, mine.lease_until);
    return row !== undefined;
  }
}
