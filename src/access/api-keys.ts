import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import { readOrCreateSecret } from './secret-file.ts';
import type { Vault } from './vault.ts';

export interface ApiKeysParts {
  db: Database;
  vault: Vault;
  changes: Changes;
  config: { apiKeys: readonly string[]; dataDir: string };
}

/** A longer Authorization header is rejected before it is parsed. */
const maxHeaderCharacters = 4096;
const bearer = /^bearer +(\S+) *$/i;

/** Verifies who may call: the API keys for `/v1`, and the access key in the path of the retrieve URL. */
export class ApiKeys {
  /** Secret path segment of the retrieve URL, the same in every process that shares the database. */
  readonly accessKey: string;
  readonly #accessKeyHash: Buffer;
  #apiKeyHashes: Buffer[];

  private constructor(accessKey: string, apiKeyHashes: Buffer[]) {
    this.accessKey = accessKey;
    this.#accessKeyHash = sha256(accessKey);
    this.#apiKeyHashes = apiKeyHashes;
  }

  /**
   * If the settings name no API key, one is generated. Its file is `api-key` in the data folder, and the database
   * has its hash. If the file is deleted, the next start generates a new key and the old one stops working.
   *
   * @throws ConfigError, Problem `database_unavailable`
   */
  static async open({ db, vault, changes, config }: ApiKeysParts): Promise<ApiKeys> {
    const accessKey = await readOrCreateAccessKey(db, vault);
    if (config.apiKeys.length > 0) return new ApiKeys(accessKey, config.apiKeys.map(sha256));

    const hash = sha256(await readOrCreateSecret(config.dataDir, 'api-key'));
    const apiKeys = new ApiKeys(accessKey, [hash]);
    changes.on('api-key', (subject) => {
      apiKeys.#apiKeyHashes = [Buffer.from(subject, 'hex')];
    });
    await storeApiKeyHash(changes, hash.toString('hex'));
    return apiKeys;
  }

  /**
   * @param header `Bearer KEY`, RFC 6750 §2.1
   * @returns a short stable name of the key, for rate limits and logs
   * @throws Problem `unauthorized`
   */
  verify(header: string | undefined): string {
    const key = header !== undefined && header.length <= maxHeaderCharacters && bearer.exec(header)?.[1];
    if (!key) throw new Problem('unauthorized');
    const hash = sha256(key);
    // Compares with every key, each in constant time, so that the duration reveals nothing about any of them.
    const matches = this.#apiKeyHashes.filter((candidate) => timingSafeEqual(candidate, hash));
    if (matches.length === 0) throw new Problem('unauthorized');
    return hash.toString('hex').slice(0, 12);
  }

  isAccessKey(candidate: string): boolean {
    return timingSafeEqual(sha256(candidate), this.#accessKeyHash);
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

async function storeApiKeyHash(changes: Changes, hash: string): Promise<void> {
  await changes.transaction(async (trx, record) => {
    const name = 'generated';
    const row = await trx.selectFrom('api_keys').select('hash').where('name', '=', name).executeTakeFirst();
    if (row?.hash === hash) return;
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
