import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { recordingSubject } from '../db/recording-subject.ts';
import type { RevocationRow } from '../db/schema.ts';

/** The columns of a row that name what is revoked. Ids contain no NUL, so it separates them without ambiguity. */
type Subject = `${string}\0${string}\0${string}`;

export interface RevocationParts {
  db: Database;
  changes: Changes;
  now: () => number;
}

/**
 * The columns that name an account or one of its recordings. A recording is named by a hash, because the revocation
 * outlives an erased recording.
 */
export function columnsOf({ accountId, externalId }: { accountId: string; externalId?: string }) {
  if (externalId === undefined) return { account_id: accountId, external_id: '', jti: '' };
  return { account_id: '', external_id: recordingSubject(accountId, externalId), jti: '' };
}

const pruneEveryMs = 60_000;

/**
 * The revocations of tokens that have not expired. They are in the database, and in memory so that a lookup costs
 * no query. Every process loads them at its start and receives new ones through the change feed.
 */
export class Revocations {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #now: () => number;
  /** Only what a lookup needs: a row is some 160 bytes, and every erasure adds one for the lifetime of a token. */
  readonly #revoked = new Map<Subject, Pick<RevocationRow, 'cutoff' | 'expires_at'>>();
  #forgotAt = 0;
  #prunedAt = 0;

  private constructor({ db, changes, now }: RevocationParts) {
    this.#db = db;
    this.#changes = changes;
    this.#now = now;
    changes.on('revocation', (subject) => this.#keep(JSON.parse(subject)));
  }

  /** @throws Problem `database_unavailable` */
  static async open(parts: RevocationParts): Promise<Revocations> {
    const revocations = new Revocations(parts);
    const rows = await parts.db.kysely
      .selectFrom('revocations')
      .selectAll()
      .where('expires_at', '>', parts.now())
      .execute();
    for (const row of rows) revocations.#keep(row);
    return revocations;
  }

  /** URLs of the recording issued up to this instant are revoked. Milliseconds since 1970; 0 if none is revoked. */
  cutoff(accountId: string, externalId: string): number {
    const account = this.#revoked.get(`${accountId}\0\0`)?.cutoff ?? 0;
    const { external_id } = columnsOf({ accountId, externalId });
    const recording = this.#revoked.get(`\0${external_id}\0`)?.cutoff ?? 0;
    return Math.max(account, recording);
  }

  isTokenRevoked(jti: string): boolean {
    return this.#revoked.has(`\0\0${jti}`);
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
            .doUpdateSet((eb) => ({
              cutoff: row.cutoff,
              // The tokens that the earlier revocation ended may live longer.
              expires_at: eb
                .case()
                .when('revocations.expires_at', '>', row.expires_at)
                .then(eb.ref('revocations.expires_at'))
                .else(row.expires_at)
                .end(),
            }))
            // A process whose clock is behind must not undo the revocation of another.
            .where('revocations.cutoff', '<', row.cutoff),
        )
        .execute();
      await record('revocation', JSON.stringify(row));
    });
    await this.#prune();
  }

  #keep(row: RevocationRow): void {
    const subject: Subject = `${row.account_id}\0${row.external_id}\0${row.jti}`;
    const { cutoff = 0, expires_at = 0 } = this.#revoked.get(subject) ?? {};
    if (row.cutoff <= cutoff) return;
    this.#revoked.set(subject, { cutoff: row.cutoff, expires_at: Math.max(expires_at, row.expires_at) });
    this.#forget();
  }

  /** Forgets what has expired. A process that never revokes receives the revocations of the others. */
  #forget(): void {
    const now = this.#now();
    if (now - this.#forgotAt < pruneEveryMs) return;
    this.#forgotAt = now;
    for (const [subject, row] of this.#revoked) if (row.expires_at <= now) this.#revoked.delete(subject);
  }

  async #prune(): Promise<void> {
    const now = this.#now();
    if (now - this.#prunedAt < pruneEveryMs) return;
    this.#prunedAt = now;
    await this.#db.kysely.deleteFrom('revocations').where('expires_at', '<=', now).execute();
  }
}
