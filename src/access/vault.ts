import type { Kysely, Transaction } from 'kysely';
import type { Database } from '../db/open.ts';
import type { Schema } from '../db/schema.ts';
import { ConfigError } from '../settings/config.ts';
import { countSealed, readSealed, sealedColumns } from './sealed-texts.ts';
import { kidOf, prefixWithoutKid, type SecretKey } from './secret-key.ts';
import { type SecretKeyConfig, SecretKeys } from './secret-keys.ts';

/** To be called first in a transaction that stores a sealed text. */
export type Hold = (trx: Transaction<Schema>) => Promise<void>;

/** The row of `secrets` whose text is always sealed with the key that seals at present, for every process. */
export const sealingRow = 'secret-key';

/** A text was sealed with a key that does not seal any more. Never leaves the vault. */
class KeyReplaced extends Error {}

/**
 * Encrypts small secrets, so that the database alone discloses none of them. A process may know several keys. The
 * database says which of them seals, so that all processes change to a new key at the same instant.
 */
export class Vault {
  readonly keys: SecretKeys;
  readonly #db: Database;

  private constructor(db: Database, keys: SecretKeys) {
    this.#db = db;
    this.keys = keys;
  }

  /**
   * @throws ConfigError if a key is not 43 base64url characters, or a text in the database was sealed with a key that
   *   is not known; Problem `database_unavailable`
   */
  static async open({ db, config }: { db: Database; config: SecretKeyConfig }): Promise<Vault> {
    const vault = new Vault(db, await SecretKeys.open(config));
    await vault.open(await vault.#sealedNow());
    await vault.#requireKeys();
    return vault;
  }

  /** Seals a text that is not stored in the database. @throws ConfigError, Problem `database_unavailable` */
  async seal(plain: string): Promise<string> {
    const key = await this.#keyOf(await this.#sealedNow());
    return key.seal(plain);
  }

  /** @throws ConfigError if no known key sealed the text, or it was altered */
  async open(sealed: string): Promise<string> {
    const { plain } = await this.#opened(sealed);
    return plain;
  }

  /**
   * Seals a text and stores it, with the key that seals when it is stored: a text that is sealed with the key before
   * would be lost when that is removed.
   *
   * @param store stores the text in a transaction that begins with `hold`. Called again if the key is replaced
   *   meanwhile.
   * @throws ConfigError, Problem `database_unavailable`, and what `store` throws
   */
  async put<T>(plain: string, store: (sealed: string, hold: Hold) => Promise<T>): Promise<T> {
    for (;;) {
      const sealed = await this.seal(plain);
      let isHeld = false;
      try {
        const result = await store(sealed, async (trx) => {
          await this.#hold(trx, sealed);
          isHeld = true;
        });
        if (!isHeld) throw new Error('A sealed text was stored without `hold`.');
        return result;
      } catch (error) {
        if (!(error instanceof KeyReplaced)) throw error;
      }
    }
  }

  /** Runs `work` in a transaction during which no process stores a sealed text by `put`, and none does this. */
  exclusively<T>(work: (trx: Transaction<Schema>) => Promise<T>): Promise<T> {
    return this.#db.kysely.transaction().execute(async (trx) => {
      await trx
        .selectFrom('secrets')
        .select('name')
        .where('name', '=', sealingRow)
        .$if(this.#db.engine === 'postgres', (query) => query.forUpdate())
        .execute();
      return work(trx);
    });
  }

  /** Makes a key the one that seals, within `exclusively`. */
  async sealWith(trx: Transaction<Schema>, key: SecretKey): Promise<void> {
    const sealed = await key.seal(sealingRow);
    await trx.updateTable('secrets').set({ sealed }).where('name', '=', sealingRow).execute();
  }

  /** The kid of the key that seals. @throws ConfigError if that key is not known, Problem `database_unavailable` */
  async sealingKid(): Promise<string> {
    return (await this.#keyOf(await this.#sealedNow())).kid;
  }

  /** The key must still be the one that seals until `trx` has ended. */
  async #hold(trx: Transaction<Schema>, sealed: string): Promise<void> {
    const row = await trx
      .selectFrom('secrets')
      .select('sealed')
      .where('name', '=', sealingRow)
      .$if(this.#db.engine === 'postgres', (query) => query.forShare())
      .executeTakeFirst();
    if (row === undefined || kidOf(row.sealed) !== kidOf(sealed)) throw new KeyReplaced();
  }

  /** The text of the sealing row. Creates the row if there is none. */
  async #sealedNow(): Promise<string> {
    const read = (kysely: Kysely<Schema>) =>
      kysely.selectFrom('secrets').select('sealed').where('name', '=', sealingRow).executeTakeFirst();
    const row = await read(this.#db.kysely);
    if (row) return row.sealed;
    const key = await this.#keyBefore();
    // If several processes start together, one inserts the row and all of them read that one.
    await this.#db.kysely
      .insertInto('secrets')
      .values({ name: sealingRow, sealed: await key.seal(sealingRow) })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return (await read(this.#db.kysely))!.sealed;
  }

  /** The key of a database that has no sealing row: of an earlier version, or new. */
  async #keyBefore(): Promise<SecretKey> {
    for (const column of sealedColumns) {
      const [text] = await readSealed(this.#db.kysely, column, { which: { notBy: [] }, limit: 1 });
      if (text) return this.#keyOf(text.sealed);
    }
    return this.keys.newest;
  }

  async #keyOf(sealed: string): Promise<SecretKey> {
    return (await this.#opened(sealed)).key;
  }

  async #opened(sealed: string): Promise<{ key: SecretKey; plain: string }> {
    const opened = await openWith(this.keys.known, sealed);
    if (opened) return opened;
    await this.keys.reload(); // a rotation may have added the key
    const again = await openWith(this.keys.known, sealed);
    if (again) return again;
    throw new ConfigError(
      'PLAYHEAD_SECRET_KEY, or the file secret-key in the data folder, is not the key that encrypted the secrets in this database.',
    );
  }

  /** Without this, a start that lacks a key would be noticed only when what it sealed is used. */
  async #requireKeys(): Promise<void> {
    const count = () => {
      const known = this.keys.all.map(({ prefix }) => prefix);
      return countSealed(this.#db.kysely, { notBy: [prefixWithoutKid, ...known] });
    };
    if ((await count()) === 0) return;
    await this.keys.reload(); // a rotation may have added the key
    const unknown = await count();
    if (unknown === 0) return;
    const place = this.keys.file ?? 'PLAYHEAD_SECRET_KEY';
    throw new ConfigError(
      `Secrets in the database are sealed with a key that is not in ${place} (${unknown}): put it back behind the first key, and run playhead secret-key rotate.`,
    );
  }
}

/** Tries the key that the text names, or every key if the text names none. */
async function openWith(keys: readonly SecretKey[], sealed: string) {
  const kid = kidOf(sealed);
  for (const key of keys.filter((candidate) => kid === undefined || candidate.kid === kid)) {
    const plain = await key.open(sealed).catch(() => undefined);
    if (plain !== undefined) return { key, plain };
  }
  return undefined;
}
