import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import type { ApiRole } from '../unions.ts';
import { ApiKeyStore, generatedName, type StoredApiKey } from './api-key-store.ts';
import { readOrCreateSecret } from './secret-file.ts';
import type { Vault } from './vault.ts';

export interface ApiKeysParts {
  db: Database;
  vault: Vault;
  changes: Changes;
  config: { apiKeys: readonly string[]; dataDir: string };
}

/** Who calls `/v1`: what an API key is allowed. */
export interface Caller {
  /** Short, stable and no secret, for rate limits and logs. */
  id: string;
  role: ApiRole;
  /** The accounts of the phone system that it may act for. Undefined for every account. */
  accountIds: ReadonlySet<string> | undefined;
}

/** A longer Authorization header is rejected before it is parsed. */
const maxHeaderCharacters = 4096;
const bearer = /^bearer +(\S+) *$/i;
/** The last use of a key is stored this often. */
const touchEveryMs = 60_000;

/** Verifies who may call: the API keys for `/v1`, and the access key in the path of the retrieve URL. */
export class ApiKeys {
  /** Secret path segment of the retrieve URL, the same in every process that shares the database. */
  readonly accessKey: string;
  readonly #accessKeyHash: Buffer;
  readonly #store: ApiKeyStore;
  /** Keys of the settings, by their SHA-256. They may do everything. */
  readonly #ofSettings: ReadonlyMap<string, Caller>;
  /**
   * Keys of the database, by their SHA-256. A lookup reveals nothing by its duration: nobody can choose the hash of a
   * guess.
   */
  #stored = new Map<string, StoredApiKey & { caller: Caller }>();
  readonly #touchedAt = new Map<string, number>();

  private constructor(accessKey: string, store: ApiKeyStore, keys: readonly string[]) {
    this.accessKey = accessKey;
    this.#accessKeyHash = sha256(accessKey);
    this.#store = store;
    this.#ofSettings = new Map(
      keys.map((key) => {
        const hash = sha256(key).toString('hex');
        return [hash, { id: idOf(hash), role: 'admin', accountIds: undefined }];
      }),
    );
  }

  /**
   * If the settings name no API key, one is generated. Its file is `api-key` in the data folder, and the database
   * has its hash. If the file is deleted, the next start generates a new key and the old one stops working.
   *
   * @throws ConfigError, Problem `database_unavailable`
   */
  static async open({ db, vault, changes, config }: ApiKeysParts): Promise<ApiKeys> {
    const store = new ApiKeyStore(db, changes);
    const apiKeys = new ApiKeys(await readOrCreateAccessKey(db, vault), store, config.apiKeys);
    changes.on('api-key', () => apiKeys.#load());
    if (config.apiKeys.length === 0) {
      await store.replaceGenerated(
        sha256(await readOrCreateSecret(config.dataDir, 'api-key')).toString('hex'),
      );
    }
    await apiKeys.#load();
    return apiKeys;
  }

  /**
   * @param header `Bearer KEY`, RFC 6750 §2.1
   * @throws Problem `unauthorized`
   */
  verify(header: string | undefined): Caller {
    const key = header !== undefined && header.length <= maxHeaderCharacters && bearer.exec(header)?.[1];
    if (!key) throw new Problem('unauthorized');
    const hash = sha256(key).toString('hex');
    const stored = this.#stored.get(hash);
    if (stored) this.#touch(stored.name);
    const caller = this.#ofSettings.get(hash) ?? stored?.caller;
    if (!caller) throw new Problem('unauthorized');
    return caller;
  }

  isAccessKey(candidate: string): boolean {
    return timingSafeEqual(sha256(candidate), this.#accessKeyHash);
  }

  /** @returns the key, which is not kept @throws Problem `conflict` if the name is taken */
  async create(scope: Pick<StoredApiKey, 'name' | 'role' | 'accountIds'>): Promise<string> {
    const key = randomBytes(32).toString('base64url');
    await this.#store.add(scope, sha256(key).toString('hex'));
    return key;
  }

  /** The keys in the database, the revoked ones too. @throws Problem `database_unavailable` */
  list(): Promise<StoredApiKey[]> {
    return this.#store.list();
  }

  /** Every process denies the key within seconds. @throws Problem `not_found` */
  revoke(name: string): Promise<void> {
    return this.#store.revoke(name);
  }

  async #load(): Promise<void> {
    const stored = await this.#store.read();
    this.#stored = new Map(
      [...stored]
        // The keys of the settings take the place of the generated one.
        .filter(([, { name }]) => name !== generatedName || this.#ofSettings.size === 0)
        .map(([hash, key]) => {
          const accountIds = key.accountIds && new Set(key.accountIds);
          return [hash, { ...key, caller: { id: idOf(hash), role: key.role, accountIds } }];
        }),
    );
  }

  /** Stores that a key was used. No request waits for it or fails with it. */
  #touch(name: string): void {
    const now = performance.now();
    if (now - (this.#touchedAt.get(name) ?? Number.NEGATIVE_INFINITY) < touchEveryMs) return;
    this.#touchedAt.set(name, now);
    this.#store.touch(name).catch(() => {});
  }
}

async function readOrCreateAccessKey(db: Database, vault: Vault): Promise<string> {
  const name = 'access-key';
  const read = () =>
    db.kysely.selectFrom('secrets').select('sealed').where('name', '=', name).executeTakeFirst();
  let row = await read();
  if (row === undefined) {
    // If several processes start together, one inserts its key and all of them read that one.
    await vault.put(randomBytes(32).toString('base64url'), (sealed, hold) =>
      db.kysely.transaction().execute(async (trx) => {
        await hold(trx);
        await trx
          .insertInto('secrets')
          .values({ name, sealed })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      }),
    );
    row = await read();
  }
  return vault.open(row!.sealed);
}

function idOf(hash: string): string {
  return hash.slice(0, 12);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
