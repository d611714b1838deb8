import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** The SHA-256 of each block of stored audio (`Version.blockDigests`), by store key. They end with the audio. */
export class BlockDigests {
  readonly #db: Kysely<Schema>;

  /** @param db the database, or a transaction that the changes belong to */
  constructor(db: Kysely<Schema>) {
    this.#db = db;
  }

  /** Stores the digests of a key, unless it has some: its audio never changes. @returns whether it had none */
  async add(key: string, digests: string): Promise<boolean> {
    const added = await this.#db
      .insertInto('block_digests')
      .values({ key, digests })
      .onConflict((conflict) => conflict.column('key').doNothing())
      .returning('key')
      .executeTakeFirst();
    return added !== undefined;
  }

  /** Gives a key the digests of another one that has the same audio. */
  async copy(from: string, to: string): Promise<void> {
    const row = await this.#db
      .selectFrom('block_digests')
      .select('digests')
      .where('key', '=', from)
      .executeTakeFirst();
    if (row) await this.add(to, row.digests);
  }

  async delete(key: string): Promise<void> {
    await this.#db.deleteFrom('block_digests').where('key', '=', key).execute();
  }
}
