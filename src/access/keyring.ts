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
  /** Whether new tokens are signed with it. */
  active: boolean;
}

export interface KeyRingParts {
  db: Database;
  vault: Vault;
  changes: Changes;
}

/** How often at most an unknown kid makes a process read the ring again. */
const LOOKUP_EVERY_MS = 1_000;

/**
 * The keys that sign stream tokens, sealed in the database and held imported in memory. The newest signs;
 * older ones go on verifying until they are retired.
 */
export class KeyRing {
  readonly #db: Database;
  readonly #vault: Vault;
  readonly #changes: Changes;
  #states: KeyState[] = [];
  #keys = new Map<string, webcrypto.CryptoKey>();
  #active: SigningKey | undefined;
  /** Its ordinal; 0 where there is no key. */
  #newest = 0;
  /** Loads run one after the other, so that an older one never overwrites what a newer one found. */
  #loaded: Promise<void> = Promise.resolve();
  #lookedUpAt = Number.NEGATIVE_INFINITY;

  private constructor({ db, vault, changes }: KeyRingParts) {
    this.#db = db;
    this.#vault = vault;
    this.#changes = changes;
    changes.on('keys', () => this.#load());
  }

  /** Makes the first key where there is none. @throws ConfigError, Problem `database_unavailable` */
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
   * A key that is not known may have been made elsewhere a moment ago, so the ring is read once more: at
   * most once a second, or forged tokens would make it a way to flood the database.
   *
   * @throws Problem `database_unavailable`
   */
  async find(kid: string): Promise<webcrypto.CryptoKey | undefined> {
    if (!this.#keys.has(kid)) {
      const due = performance.now() - this.#lookedUpAt >= LOOKUP_EVERY_MS;
      if (due) this.#lookedUpAt = performance.now();
      await (due ? this.#load() : this.#loaded);
    }
    return this.#keys.get(kid);
  }

  /** Newest first, retired ones too. @throws Problem `database_unavailable` */
  async list(): Promise<KeyState[]> {
    await this.#load();
    return this.#states;
  }

  /** Signs with a new key from now on. Of several rotations at once one takes place. @returns its kid */
  async rotate(): Promise<string> {
    await this.#load();
    await this.#add();
    return this.active.kid;
  }

  /**
   * Ends every token signed with this key and forgets its secret. The active key is first followed by a new one.
   *
   * @throws Problem `not_found`
   */
  async retire(kid: string): Promise<void> {
    await this.#load();
    if (!this.#states.some((state) => state.kid === kid)) {
      throw new Problem('not_found', 'There is no signing key of that kid.');
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

  /** Adds a key after the newest one known here, unless another process was first. */
  async #add(): Promise<void> {
    const row = {
      ordinal: this.#newest + 1,
      kid: randomBytes(8).toString('base64url'),
      secret: await this.#vault.seal(randomBytes(32).toString('base64url')),
      created_at: Date.now(),
    };
    await this.#changes.transaction(async (trx, record) => {
      await trx
        .insertInto('signing_keys')
        .values(row)
        .onConflict((conflict) => conflict.column('ordinal').doNothing())
        .execute();
      await record('keys', row.kid);
    });
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
    this.#newest = rows[0]?.ordinal ?? 0;
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
