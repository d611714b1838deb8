import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import { keepSecret, type Vault } from './vault.ts';

export interface ApiKeysParts {
  db: Database;
  vault: Vault;
  changes: Changes;
  config: { apiKeys: readonly string[]; dataDir: string };
}

/** Characters of an Authorization header that are looked at, before any work. */
const HEADER_LIMIT = 4096;
const BEARER = /^bearer +(\S+) *$/i;

/** Who may call: API keys for `/v1`, and the access key in the path of the retrieve URL. */
export class ApiKeys {
  /** Secret path segment of the retrieve URL; the same in every process that shares the database. */
  readonly accessKey: string;
  readonly #accessHash: Buffer;
  #apiKeyHashes: Buffer[];

  private constructor(accessKey: string, apiKeyHashes: Buffer[]) {
    this.accessKey = accessKey;
    this.#accessHash = sha256(accessKey);
    this.#apiKeyHashes = apiKeyHashes;
  }

  /**
   * Without API keys in the settings one is made and kept in the file `api-key` of the data folder; the
   * database keeps its hash. Deleting the file makes a new key on the next start and ends the old one.
   *
   * @throws ConfigError, Problem `database_unavailable`
   */
  static async open({ db, vault, changes, config }: ApiKeysParts): Promise<ApiKeys> {
    const accessKey = await keepAccessKey(db, vault);
    if (config.apiKeys.length > 0) return new ApiKeys(accessKey, config.apiKeys.map(sha256));

    const hash = sha256(await keepSecret(config.dataDir, 'api-key'));
    const apiKeys = new ApiKeys(accessKey, [hash]);
    changes.on('api-key', (subject) => {
      apiKeys.#apiKeyHashes = [Buffer.from(subject, 'hex')];
    });
    await keepApiKeyHash(changes, hash.toString('hex'));
    return apiKeys;
  }

  /**
   * @param header `Bearer KEY`, RFC 6750 §2.1
   * @returns a short stable name of the key, for rate limits and logs
   * @throws Problem `unauthorized`
   */
  verifyApiKey(header: string | undefined): string {
    const key = header !== undefined && header.length <= HEADER_LIMIT && BEARER.exec(header)?.[1];
    if (!key) throw new Problem('unauthorized');
    const hash = sha256(key);
    // Every key is compared, each in constant time, so that the time tells nothing of which one was near.
    const matches = this.#apiKeyHashes.filter((candidate) => timingSafeEqual(candidate, hash));
    if (matches.length === 0) throw new Problem('unauthorized');
    return hash.toString('hex').slice(0, 12);
  }

  isAccessKey(candidate: string): boolean {
    return timingSafeEqual(sha256(candidate), this.#accessHash);
  }
}

async function keepAccessKey(db: Database, vault: Vault): Promise<string> {
  const name = 'access-key';
  const held = () =>
    db.kysely.selectFrom('secrets').select('sealed').where('name', '=', name).executeTakeFirst();
  let row = await held();
  if (row === undefined) {
    const sealed = await vault.seal(randomBytes(32).toString('base64url'));
    // Of several processes that start together one inserts; all of them read what it inserted.
    await db.kysely
      .insertInto('secrets')
      .values({ name, sealed })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    row = await held();
  }
  return vault.open(row!.sealed);
}

async function keepApiKeyHash(changes: Changes, hash: string): Promise<void> {
  await changes.transaction(async (trx, record) => {
    const name = 'generated';
    const held = await trx.selectFrom('api_keys').select('hash').where('name', '=', name).executeTakeFirst();
    if (held?.hash === hash) return;
    await trx
      .insertInto('api_keys')
      .values({ name, hash, created_at: Date.now() })
      .onConflict((conflict) => conflict.column('name').doUpdateSet({ hash, created_at: Date.now() }))
      .execute();
    await record('api-key', hash);
  });
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
