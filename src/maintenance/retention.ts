import { sql } from 'kysely';
import type { Database } from '../db/open.ts';
import type { Metrics } from '../metrics.ts';
import type { RetentionRules } from '../recordings/retention-rules.ts';
import type { EndedKind } from '../unions.ts';
import type { Task } from './background.ts';

/** What ends by itself in one table. The table has an index on `account_id`, `created_at`. */
export interface Sweep {
  table: 'recordings' | 'outbox';
  /**
   * Ends what an account has from before an instant, the oldest first. It is small work from one item to the next, and
   * the process may be killed between any two.
   *
   * @returns the kind of each that it has ended, or undefined for one that stays
   */
  end(accountId: string, before: Date): AsyncIterable<EndedKind | undefined>;
}

export interface RetentionOptions {
  db: Database;
  rules: RetentionRules;
  sweeps: Sweep[];
  metrics: Pick<Metrics, 'ended'>;
  log: { info(counts: object, message: string): void };
}

interface Account {
  accountId: string;
  oldestMs: number;
  /** Undefined if the setting is in force. */
  retentionMs: number | undefined;
  isHeld: boolean;
}

const everyMs = 600_000;

/**
 * Erases what has been kept for its retention. It looks up the oldest row of each account by an index, and then reads
 * what is due and nothing else. Accounts under a legal hold are passed over.
 */
export function retention({ db, rules, sweeps, metrics, log }: RetentionOptions): Task {
  async function run(mayContinue: () => Promise<boolean>): Promise<void> {
    if (rules.defaultMs === 0 && (await rules.list()).length === 0) return;
    const counts: Partial<Record<EndedKind, number>> = {};
    const count = (kind: EndedKind) => {
      counts[kind] = (counts[kind] ?? 0) + 1;
      metrics.ended.inc({ kind });
    };
    try {
      for (const sweep of sweeps) if (!(await sweepAccounts(sweep, mayContinue, count))) return;
    } finally {
      if (Object.keys(counts).length > 0)
        log.info(counts, 'What had reached the end of its retention was erased.');
    }
  }

  /** @returns whether the task may continue */
  async function sweepAccounts(
    { table, end }: Sweep,
    mayContinue: () => Promise<boolean>,
    count: (kind: EndedKind) => void,
  ): Promise<boolean> {
    for (let account = await accountAfter(''); account; account = await accountAfter(account.accountId)) {
      if (!(await mayContinue())) return false;
      const retentionMs = account.retentionMs ?? rules.defaultMs;
      const before = new Date(Date.now() - retentionMs);
      if (account.isHeld || retentionMs === 0 || account.oldestMs > before.getTime()) continue;
      for await (const kind of end(account.accountId, before)) {
        if (kind !== undefined) count(kind);
        if (!(await mayContinue())) return false;
      }
    }
    return true;

    async function accountAfter(accountId: string): Promise<Account | undefined> {
      const { rows } = await sql<
        Record<'account_id', string> & Record<'created_at' | 'retention_ms' | 'placed_at', number>
      >`
        select t.account_id, t.created_at, r.retention_ms, h.placed_at from ${sql.table(table)} t
        left join retention_rules r on r.account_id = t.account_id
        left join holds h on h.account_id = t.account_id and h.external_id = ''
        where t.account_id > ${accountId} order by t.account_id, t.created_at limit 1`.execute(db.kysely);
      const [row] = rows;
      return (
        row && {
          accountId: row.account_id,
          oldestMs: row.created_at,
          retentionMs: row.retention_ms ?? undefined,
          isHeld: row.placed_at !== null,
        }
      );
    }
  }

  return { name: 'retention', everyMs, run };
}
