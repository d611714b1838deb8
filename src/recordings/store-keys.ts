import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import { BlockDigests } from './block-digests.ts';

/** The lease of a backup under way (db/leases.ts). While a process has it, audio that was replaced is kept. */
export const backupLease = 'backup';

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

  /** Records the key of a removed recording as expired, with the keys that were kept for it. */
  async expire(key: string | null, recordingId: string): Promise<void> {
    const now = Date.now();
    if (key !== null) {
      await this.#db.insertInto('uploads').values({ key, lease_until: now, abandoned_at: now }).execute();
    }
    await this.#db
      .updateTable('uploads')
      .set({ kept_until: null })
      .where('recording_id', '=', recordingId)
      .execute();
  }

  /**
   * Records a key as expired because its recording has another one now. Its audio is kept for those who read it: for
   * `keepMs`, and while a backup runs.
   */
  async replace(key: string, recordingId: string, keepMs: number): Promise<void> {
    const now = Date.now();
    const kept = { recording_id: recordingId, kept_until: now + keepMs };
    await this.#db
      .insertInto('uploads')
      .values({ key, lease_until: now, abandoned_at: now, ...kept })
      .execute();
  }

  /** The keys that a recording had before, whose audio is not removed yet. */
  async replacedOf(recordingId: string): Promise<string[]> {
    const rows = await this.#db
      .selectFrom('uploads')
      .select('key')
      .where('recording_id', '=', recordingId)
      .execute();
    return rows.map(({ key }) => key);
  }

  /**
   * Marks every pending key whose lease has run out as expired.
   *
   * @param only looks for this key alone
   * @returns the expired keys that are not kept. Remove the audio of each, then `delete` the key. Until then it is
   *   returned again.
   */
  async collectExpired(only?: string): Promise<string[]> {
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
      .where((eb) =>
        eb.or([
          eb('kept_until', 'is', null),
          eb.and([
            eb('kept_until', '<=', now),
            eb.not(
              eb.exists(
                eb
                  .selectFrom('leases')
                  .select('name')
                  .where('name', '=', backupLease)
                  .where('lease_until', '>', now),
              ),
            ),
          ]),
        ]),
      )
      .$if(only !== undefined, (select) => select.where('key', '=', only!))
      .execute();
    return rows.map(({ key }) => key);
  }

  /** How many keys have expired and still have their audio. */
  async countExpired(): Promise<number> {
    const { count } = await this.#db
      .selectFrom('uploads')
      .select((eb) => eb.fn.countAll<number>().as('count'))
      .where('abandoned_at', 'is not', null)
      .executeTakeFirstOrThrow();
    return Number(count);
  }

  /** Deletes all that is recorded of a key. Call it once the audio under the key is removed. */
  async delete(key: string): Promise<void> {
    await new BlockDigests(this.#db).delete(key);
    await this.#db.deleteFrom('uploads').where('key', '=', key).execute();
  }
}

function leaseExpired(): Problem {
  return new Problem('busy', 'The lease of this upload ran out; send the recording again.', {
    retryAfter: 1,
  });
}
