import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import type { RevocationRow } from '../db/schema.ts';

/** Ids hold no NUL, so the three parts cannot run into one another. */
type Subject = `${string}\0${string}\0${string}`;

export interface RevocationParts {
  db: Database;
  changes: Changes;
  now: () => number;
}

const PRUNE_EVERY_MS = 60_000;

/**
 * What was revoked and could still be in use: in memory, so that asking costs no query, and in the
 * database, from where every process loads it at its start and hears of it by the change feed.
 */
export class Revocations {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #now: () => number;
  readonly #held = new Map<Subject, RevocationRow>();
  #prunedAt = 0;

  private constructor({ db, changes, now }: RevocationParts) {
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    changes.on('revocation', (subject) => this.#hold(JSON.parse(subject)));
  }

  /** @throws Problem `database_unavailable` */
  static async open(parts: RevocationParts): Promise<Revocations> {
    const revocations = new Revocations(parts);
    const rows = await parts.db.kysely
      .selectFrom('revocations')
      .selectAll()
      .where('expires_at', '>', parts.now())
      .execute();
    for (const row of rows) revocations.#hold(row);
    return revocations;
  }

  /** The latest instant (milliseconds) up to which the URLs of this recording were revoked. */
  cutoff(accountId: string, externalId: string): number {
    const account = this.#held.get(`${accountId}\0\0`)?.cutoff ?? 0;
    const recording = this.#held.get(`${accountId}\0${externalId}\0`)?.cutoff ?? 0;
    return Math.max(account, recording);
  }

  hasToken(jti: string): boolean {
    return this.#held.has(`\0\0${jti}`);
  }

  /** @throws Problem `database_unavailable` */
  async add(row: RevocationRow): Promise<void> {
    await this.#changes.transaction(async (trx, record) => {
      await trx
        .insertInto('revocations')
        .values(row)
        .onConflict((conflict) =>
          conflict
            .columns(['account_id', 'external_id', 'jti'])
            .doUpdateSet({ cutoff: row.cutoff, expires_at: row.expires_at })
            // A slower clock must not take back what another process has revoked.
            .where('revocations.cutoff', '<', row.cutoff),
        )
        .execute();
      await record('revocation', JSON.stringify(row));
    });
    await this.#prune();
  }

  #hold(row: RevocationRow): void {
    const subject: Subject = `${row.account_id}\0${row.external_id}\0${row.jti}`;
    if (row.cutoff > (this.#held.get(subject)?.cutoff ?? 0)) this.#held.set(subject, row);
  }

  async #prune(): Promise<void> {
    const now = this.#now();
    if (now - this.#prunedAt < PRUNE_EVERY_MS) return;
    this.#prunedAt = now;
    for (const [subject, row] of this.#held) if (row.expires_at <= now) this.#held.delete(subject);
    await this.#db.kysely.deleteFrom('revocations').where('expires_at', '<=', now).execute();
  }
}
