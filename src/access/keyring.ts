import { randomBytes, webcrypto } from 'node:crypto';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import type { Vault } from './vault.ts';

export interface SigningKey {
  kid: string;
  key: webcrypto.CryptoKey;
}

export interface KeyState {
  kid: string;
  createdAt: Date;
  retiredAt: Date | null;
  /** Whether this key signs new tokens. */
  active: boolean;
}

export interface KeyRingParts {
  db: Database;
  vault: Vault;
  changes: Changes;
}

/** Unknown kids cause at most one load in this time. */
const lookupEveryMs = 1_000;

/**
 * The keys that sign stream tokens: encrypted in the database, imported in memory. The newest key signs. Older
 * keys verify until they are retired.
 */
export class KeyRing {
  readonly #db: Database;
  readonly #vault: Vault;
  readonly #changes: Changes;
  #states: KeyState[] = [];
  #keys = new Map<string, webcrypto.CryptoKey>();
  #active: SigningKey | undefined;
  /** The ordinal of the newest key, or 0. */
  #newestOrdinal = 0;
  /** Loads run one after the other, so that an older load never overwrites the result of a newer one. */
  #loaded: Promise<void> = Promise.resolve();
  #lookedUpAt = Number.NEGATIVE_INFINITY;

  private constructor({ db, vault, changes }: KeyRingParts) {
    this.#db = db;
    this.#vault = vault;
    this.#changes = changes;
    changes.on('keys', () => this.#load());
  }

  /** Creates the first key if there is none. @throws ConfigError, Problem `database_unavailable` */
  static async open(parts: KeyRingParts): Promise<KeyRing> {
    const ring = new KeyRing(parts);
    await ring.#load();
    if (ring.#active === undefined) await ring.#add();
    return ring;
  }

  get active(): SigningKey {
    if (this.#active === undefined) throw new Error('The key ring is empty.');
    return this.#active;
  }

  has(kid: string): boolean {
    return this.#keys.has(kid);
  }

  /**
   * The key with this kid. If the kid is unknown, another process may have just created the key, so the ring is
   * loaded again. That happens at most once a second, or forged tokens could flood the database.
   *
   * @throws Problem `database_unavailable`
   */
  async find(kid: string): Promise<webcrypto.CryptoKey | undefined> {
    if (!this.#keys.has(kid)) {
      const isDue = performance.now() - this.#lookedUpAt >= lookupEveryMs;
      if (isDue) this.#lookedUpAt = performance.now();
      await (isDue ? this.#load() : this.#loaded);
    }
    return this.#keys.get(kid);
  }

  /** All keys, newest first, with the retired ones. @throws Problem `database_unavailable` */
  async list(): Promise<KeyState[]> {
    await this.#load();
    return this.#states;
  }

  /** Creates the key that signs from now on. Rotations at the same moment create one key. @returns its kid */
  async rotate(): Promise<string> {
    await this.#load();
    await this.#add();
    return this.active.kid;
  }

  /**
   * Ends every token signed with this key and deletes its secret. If the key is active, a new one is created
   * first.
   *
   * @throws Problem `not_found`
   */
  async retire(kid: string): Promise<void> {
    await this.#load();
    if (!this.#states.some((state) => state.kid === kid)) {
      throw new Problem('not_found', 'There is no signing key with this kid.');
    }
    if (this.active.kid === kid) await this.rotate();
    await this.#changes.transaction(async (trx, record) => {
      await trx
        .updateTable('signing_keys')
        .set({ retired_at: Date.now(), secret: '' })
        .where('kid', '=', kid)
        .where('retired_at', 'is', null)
        .execute();
      await record('keys', kid);
    });
  }

  /** Adds a key after the newest one known here, unless another process did so first. */
  async #add(): Promise<void> {
    const kid = randomBytes(8).toString('base64url');
    const key = randomBytes(32).toString('base64url');
    const ordinal = this.#newestOrdinal + 1;
    await this.#vault.put(key, (secret, hold) =>
      this.#changes.transaction(async (trx, record) => {
        await hold(trx);
        await trx
          .insertInto('signing_keys')
          .values({ ordinal, kid, secret, created_at: Date.now() })
          .onConflict((conflict) => conflict.column('ordinal').doNothing())
          .execute();
        await record('keys', kid);
      }),
    );
    await this.#load();
  }

  #load(): Promise<void> {
    const next = () => this.#read();
    this.#loaded = this.#loaded.then(next, next);
    return this.#loaded;
  }

  async #read(): Promise<void> {
    const rows = await this.#db.kysely
      .selectFrom('signing_keys')
      .selectAll()
      .orderBy('ordinal', 'desc')
      .execute();
    const live = rows.filter((row) => row.retired_at === null);
    const keys = new Map<string, webcrypto.CryptoKey>();
    for (const { kid, secret } of live) keys.set(kid, this.#keys.get(kid) ?? (await this.#import(secret)));
    const newest = live[0]?.kid;
    this.#keys = keys;
    this.#newestOrdinal = rows[0]?.ordinal ?? 0;
    this.#active = newest === undefined ? undefined : { kid: newest, key: keys.get(newest)! };
    this.#states = rows.map((row) => ({
      kid: row.kid,
      createdAt: new Date(row.created_at),
      retiredAt: row.retired_at === null ? null : new Date(row.retired_at),
      active: row.kid === newest,
    }));
  }

  async #import(sealed: string): Promise<webcrypto.CryptoKey> {
    const secret = Buffer.from(await this.#vault.open(sealed), 'base64url');
    const hmac = { name: 'HMAC', hash: 'SHA-256' };
    return webcrypto.subtle.importKey('raw', secret, hmac, false, ['sign', 'verify']);
  }
}
