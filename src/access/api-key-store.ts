import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import type { ApiKeyRow } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import type { ApiRole } from '../unions.ts';

/** An API key in the database, without the key itself. */
export interface StoredApiKey {
  name: string;
  role: ApiRole;
  /** Undefined for every account. */
  accountIds: string[] | undefined;
  createdAt: Date;
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** The name of the key that the first start generates. */
export const generatedName = 'generated';

/**
 * The API keys in the database, by their SHA-256. Each change reaches every process by the change feed.
 *
 * @throws Problem `database_unavailable` from every method
 */
export class ApiKeyStore {
  readonly #db: Database;
  readonly #changes: Changes;

  constructor(db: Database, changes: Changes) {
    this.#db = db;
    this.#changes = changes;
  }

  /** The keys that are not revoked, by their SHA-256 in hexadecimal. */
  async read(): Promise<Map<string, StoredApiKey>> {
    const rows = await this.#db.kysely
      .selectFrom('api_keys')
      .selectAll()
      .where('revoked_at', 'is', null)
      .execute();
    return new Map(rows.map((row) => [row.hash, fromRow(row)]));
  }

  /** Every key, the revoked ones too, by name. */
  async list(): Promise<StoredApiKey[]> {
    const rows = await this.#db.kysely.selectFrom('api_keys').selectAll().orderBy('name').execute();
    return rows.map(fromRow);
  }

  /** @throws Problem `conflict` if there is a key with this name, revoked or not */
  async add(key: Pick<StoredApiKey, 'name' | 'role' | 'accountIds'>, hash: string): Promise<void> {
    await this.#changes.transaction(async (trx, record) => {
      const { name, role, accountIds } = key;
      const added = await trx
        .insertInto('api_keys')
        .values({
          name,
          hash,
          role,
          accounts: accountIds ? JSON.stringify(accountIds) : null,
          created_at: Date.now(),
          last_used_at: null,
          revoked_at: null,
        })
        .onConflict((conflict) => conflict.doNothing())
        .returning('name')
        .executeTakeFirst();
      if (!added) throw new Problem('conflict', `There is an API key with the name ${name} already.`);
      await record('api-key', name);
    });
  }

  /** Stores the generated key, in place of an earlier one. */
  async replaceGenerated(hash: string): Promise<void> {
    await this.#changes.transaction(async (trx, record) => {
      const where = { name: generatedName };
      const row = await trx
        .selectFrom('api_keys')
        .select('hash')
        .where('name', '=', where.name)
        .executeTakeFirst();
      if (row?.hash === hash) return;
      const values = { hash, created_at: Date.now(), last_used_at: null, revoked_at: null };
      await trx
        .insertInto('api_keys')
        .values({ ...where, ...values, role: 'admin', accounts: null })
        .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
        .execute();
      await record('api-key', generatedName);
    });
  }

  /** @throws Problem `not_found` if no key that is in use has this name */
  async revoke(name: string): Promise<void> {
    await this.#changes.transaction(async (trx, record) => {
      const revoked = await trx
        .updateTable('api_keys')
        .set({ revoked_at: Date.now() })
        .where('name', '=', name)
        .where('revoked_at', 'is', null)
        .returning('name')
        .executeTakeFirst();
      if (!revoked) throw new Problem('not_found', `There is no API key with the name ${name}.`);
      await record('api-key', name);
    });
  }

  async touch(name: string): Promise<void> {
    await this.#db.kysely
      .updateTable('api_keys')
      .set({ last_used_at: Date.now() })
      .where('name', '=', name)
      .execute();
  }
}

function fromRow(row: ApiKeyRow): StoredApiKey {
  return {
    name: row.name,
    role: row.role,
    accountIds: row.accounts === null ? undefined : JSON.parse(row.accounts),
    createdAt: new Date(row.created_at),
    lastUsedAt: row.last_used_at === null ? null : new Date(row.last_used_at),
    revokedAt: row.revoked_at === null ? null : new Date(row.revoked_at),
  };
}
