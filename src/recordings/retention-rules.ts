import type { Kysely } from 'kysely';
import type { Database } from '../db/open.ts';
import type { Schema } from '../db/schema.ts';
import { lockAccount } from './holds.ts';

export interface RetentionRule {
  accountId: string;
  /** 0: for ever. */
  retentionMs: number;
}

/** How long recordings are kept. @throws Problem `database_unavailable` from every method */
export class RetentionRules {
  readonly #db: Database;
  /** For every account without a rule. 0: for ever. */
  readonly defaultMs: number;

  constructor(db: Database, defaultMs: number) {
    this.#db = db;
    this.defaultMs = defaultMs;
  }

  /** Sets the rule of an account. It is in force once this resolves. @param retentionMs 0 is for ever */
  async set({ accountId, retentionMs }: RetentionRule): Promise<void> {
    await this.#change(accountId, async (trx) => {
      const rule = { account_id: accountId, retention_ms: retentionMs };
      await trx
        .insertInto('retention_rules')
        .values(rule)
        .onConflict((conflict) => conflict.column('account_id').doUpdateSet(rule))
        .execute();
    });
  }

  /** Removes the rule of an account, so that the setting is in force again. @returns whether it had one */
  async clear(accountId: string): Promise<boolean> {
    return this.#change(accountId, async (trx) => {
      const { numDeletedRows } = await trx
        .deleteFrom('retention_rules')
        .where('account_id', '=', accountId)
        .executeTakeFirst();
      return numDeletedRows > 0n;
    });
  }

  async list(): Promise<RetentionRule[]> {
    const rows = await this.#db.kysely
      .selectFrom('retention_rules')
      .selectAll()
      .orderBy('account_id')
      .execute();
    return rows.map((row) => ({ accountId: row.account_id, retentionMs: row.retention_ms }));
  }

  /** The rule of an account. Undefined if the setting is in force. */
  async of(accountId: string): Promise<RetentionRule | undefined> {
    const row = await ruleOf(this.#db.kysely, accountId);
    return row && { accountId, retentionMs: row.retention_ms };
  }

  /**
   * When the retention of a recording ends. Undefined: never.
   *
   * @param trx the transaction that acts on it
   */
  async endOf(
    { accountId, createdAt }: { accountId: string; createdAt: Date },
    trx: Kysely<Schema> = this.#db.kysely,
  ): Promise<Date | undefined> {
    const retentionMs = (await ruleOf(trx, accountId))?.retention_ms ?? this.defaultMs;
    return retentionMs === 0 ? undefined : new Date(createdAt.getTime() + retentionMs);
  }

  /** Waits for the removals under way (`requireNoHold`), so that none of them ends later by the earlier rule. */
  #change<T>(accountId: string, change: (trx: Kysely<Schema>) => Promise<T>): Promise<T> {
    return this.#db.kysely.transaction().execute(async (trx) => {
      await lockAccount(trx, this.#db.engine, accountId, 'exclusive');
      return change(trx);
    });
  }
}

function ruleOf(db: Kysely<Schema>, accountId: string) {
  return db
    .selectFrom('retention_rules')
    .select('retention_ms')
    .where('account_id', '=', accountId)
    .executeTakeFirst();
}
