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
   * @returns the kind of each that it has ended, undefined for one that stays, and the error of one that cannot be ended
   */
  end(accountId: string, before: Date): AsyncIterable<EndedKind | Error | undefined>;
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

interface AccountRow {
  account_id: string;
  oldest_ms: number;
  retention_ms: number | null;
  placed_at: number | null;
}

const everyMs = 600_000;
const accountsAtOnce = 100;

/**
 * Erases what has been kept for its retention. It looks up the oldest row of each account by an index, and then reads
 * what is due and nothing else. Accounts under a legal hold are passed over. If something cannot be ended, the rest is,
 * and the task fails with the first error.
 */
export function retention({ db, rules, sweeps, metrics, log }: RetentionOptions): Task {
  async function run(mayContinue: () => Promise<boolean>): Promise<void> {
    if (rules.defaultMs === 0 && (await rules.list()).length === 0) return;
    const counts: Partial<Record<EndedKind, number>> = {};
    const failures: Error[] = [];
    const note = (result: EndedKind | Error | undefined) => {
      if (result instanceof Error) failures.push(result);
      else if (result !== undefined) {
        counts[result] = (counts[result] ?? 0) + 1;
        metrics.ended.inc({ kind: result });
      }
    };
    try {
      for (const sweep of sweeps) if (!(await sweepAccounts(sweep, mayContinue, note))) break;
      if (failures.length > 0) throw failures[0];
    } finally {
      if (Object.keys(counts).length > 0)
        log.info(counts, 'What had reached the end of its retention was erased.');
    }
  }

  /** @returns whether the task may continue */
  async function sweepAccounts(
    { table, end }: Sweep,
    mayContinue: () => Promise<boolean>,
    note: (result: EndedKind | Error | undefined) => void,
  ): Promise<boolean> {
    for await (const { accountId, oldestMs, retentionMs, isHeld } of accountsIn(db, table)) {
      if (!(await mayContinue())) return false;
      const keptMs = retentionMs ?? rules.defaultMs;
      const before = new Date(Date.now() - keptMs);
      if (isHeld || keptMs === 0 || oldestMs > before.getTime()) continue;
      for await (const result of end(accountId, before)) {
        note(result);
        if (!(await mayContinue())) return false;
      }
    }
    return true;
  }

  return { name: 'retention', everyMs, run };
}

/** The accounts that a table names. Each is found by one look into the index, from the last one to the next. */
async function* accountsIn({ kysely }: Database, table: Sweep['table']): AsyncGenerator<Account> {
  const t = sql.table(table);
  for (let after: string | undefined = ''; after !== undefined; ) {
    const { rows } = await sql<AccountRow>`
      with recursive accounts (account_id) as (
        select min(account_id) from ${t} where account_id > ${after}
        union all
        select (select min(account_id) from ${t} where account_id > accounts.account_id)
        from accounts where account_id is not null
      ), page (account_id) as (
        select account_id from accounts where account_id is not null limit ${accountsAtOnce}
      )
      select page.account_id, r.retention_ms, h.placed_at,
        (select min(created_at) from ${t} where account_id = page.account_id) as oldest_ms
      from page
      left join retention_rules r on r.account_id = page.account_id
      left join holds h on h.account_id = page.account_id and h.external_id = ''
      order by page.account_id`.execute(kysely);
    for (const row of rows) {
      yield {
        accountId: row.account_id,
        oldestMs: row.oldest_ms,
        retentionMs: row.retention_ms ?? undefined,
        isHeld: row.placed_at !== null,
      };
    }
    after = rows.length === accountsAtOnce ? rows.at(-1)!.account_id : undefined;
  }
}
