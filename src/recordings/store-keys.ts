import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';

/**
 * Storage keys that belong to no recording, in the table `uploads`. A key is pending until a recording takes
 * it. It is expired once its lease has run out, or once the recording that had it was replaced or removed. No
 * recording can take an expired key.
 *
 * A key is recorded before audio is written under it, so a crash leaves no audio whose key is unknown.
 */
export class StoreKeys {
  readonly #db: Kysely<Schema>;

  /** @param db the database, or a transaction that the changes belong to */
  constructor(db: Kysely<Schema>) {
    this.#db = db;
  }

  /** Records a new key as pending. Call it before you write audio under the key. */
  async add(key: string, leaseMs: number): Promise<void> {
    await this.#db
      .insertInto('uploads')
      .values({ key, lease_until: Date.now() + leaseMs, abandoned_at: null })
      .execute();
  }

  /** Extends the lease of a pending key. @throws Problem `busy` if the key has expired */
  async renew(key: string, leaseMs: number): Promise<void> {
    const renewed = await this.#db
      .updateTable('uploads')
      .set({ lease_until: Date.now() + leaseMs })
      .where('key', '=', key)
      .where('abandoned_at', 'is', null)
      .returning('key')
      .executeTakeFirst();
    if (renewed === undefined) throw leaseExpired();
  }

  /** Deletes the record of a pending key: a recording has it now. @throws Problem `busy` if the key has expired */
  async take(key: string): Promise<void> {
    const taken = await this.#db
      .deleteFrom('uploads')
      .where('key', '=', key)
      .where('abandoned_at', 'is', null)
      .returning('key')
      .executeTakeFirst();
    if (taken === undefined) throw leaseExpired();
  }

  /** Records the key of a replaced or removed recording as expired. */
  async expire(key: string): Promise<void> {
    const now = Date.now();
    await this.#db.insertInto('uploads').values({ key, lease_until: now, abandoned_at: now }).execute();
  }

  /**
   * Marks every pending key whose lease has run out as expired.
   *
   * @returns all expired keys. Remove the audio of each, then `delete` the key. Until then it is returned again.
   */
  async collectExpired(): Promise<string[]> {
    const now = Date.now();
    await this.#db
      .updateTable('uploads')
      .set({ abandoned_at: now })
      .where('abandoned_at', 'is', null)
      .where('lease_until', '<=', now)
      .execute();
    const rows = await this.#db
      .selectFrom('uploads')
      .select('key')
      .where('abandoned_at', 'is not', null)
      .execute();
    return rows.map(({ key }) => key);
  }

  /** Deletes the record of a key. Call it once the audio under the key is removed. */
  async delete(key: string): Promise<void> {
    await this.#db.deleteFrom('uploads').where('key', '=', key).execute();
  }
}

function leaseExpired(): Problem {
  return new Problem('busy', 'The lease of this upload ran out; send the recording again.', {
    retryAfter: 1,
  });
}
