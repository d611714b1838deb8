import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Database } from '../db/open.ts';
import type { OutboxRow, Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import type { JobState } from '../unions.ts';
import { type Job, jobOf, type Subject, type TakenJob } from './job.ts';

/** The lease expired and another process may have the job. Do nothing more for it. */
export class LeaseLost extends Error {
  override name = 'LeaseLost';
}

/** Lease on a job. Must exceed the time between two renewals: one request and one query. */
export const defaultJobLeaseMs = 60_000;

export interface OutboxOptions {
  /** Lease on a job, in ms: how long a process keeps the job without a renewal. */
  leaseMs?: number;
  /** Attempts without progress after which a job becomes a dead letter. */
  maxAttempts?: number;
  /** Upper limit of the first backoff, in ms. It doubles with each failure, up to `longestDelayMs`. */
  firstDelayMs?: number;
  longestDelayMs?: number;
}

/**
 * The transactional outbox: durable jobs of every kind in the database that all processes share. A process takes a
 * job with a lease. If the process dies, another can take the job when the lease expires. With the default options a
 * job is attempted for about nine hours.
 *
 * @throws Problem `database_unavailable` from every method
 */
export class Outbox {
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #maxAttempts: number;
  readonly #firstDelayMs: number;
  readonly #longestDelayMs: number;
  #onDue = () => {};

  constructor(db: Database, options: OutboxOptions = {}) {
    this.#db = db;
    this.#leaseMs = options.leaseMs ?? defaultJobLeaseMs;
    this.#maxAttempts = options.maxAttempts ?? 30;
    this.#firstDelayMs = options.firstDelayMs ?? 1_000;
    this.#longestDelayMs = options.longestDelayMs ?? 3_600_000;
  }

  /** Calls `listener` when this process has made a job due, so that the job need not wait for the next poll. */
  onDue(listener: () => void): void {
    this.#onDue = listener;
  }

  /** Calls the listener of `onDue`. Call it after the transaction that enqueued the job. */
  announceDue(): void {
    this.#onDue();
  }

  /** Locks the job's row. Call it first in any transaction that will enqueue, so that all lock in one order. */
  async lock(trx: Transaction<Schema>, kind: string, subject: Subject): Promise<void> {
    await trx
      .selectFrom('outbox')
      .select('id')
      .where((eb) => eb.and(columnsOf(kind, subject)))
      .$if(this.#db.engine === 'postgres', (select) => select.forUpdate())
      .execute();
  }

  /** Makes a job due now, in the transaction that stores its work. A dead letter becomes a waiting job again. */
  async enqueue(trx: Transaction<Schema>, kind: string, subject: Subject): Promise<void> {
    const now = Date.now();
    const fresh = { state: 'waiting', attempts: 0, due_at: now, reason: null, updated_at: now } as const;
    await trx
      .insertInto('outbox')
      .values({
        ...fresh,
        ...columnsOf(kind, subject),
        id: randomUUID(),
        revision: 1,
        lease: null,
        lease_until: 0,
        created_at: now,
      })
      .onConflict((conflict) =>
        conflict
          .columns(['kind', 'account_id', 'external_id'])
          .doUpdateSet((eb) => ({ ...fresh, revision: eb('outbox.revision', '+', 1) })),
      )
      .execute();
  }

  /** Deletes a job. A process that has taken it can store nothing more: its lease is gone. */
  async delete(trx: Transaction<Schema>, kind: string, subject: Subject): Promise<void> {
    await trx
      .deleteFrom('outbox')
      .where((eb) => eb.and(columnsOf(kind, subject)))
      .execute();
  }

  /** Accounts that have a job of this kind due, the longest due first. */
  async dueAccounts(kind: string): Promise<string[]> {
    const now = Date.now();
    const rows = await this.#db.kysely
      .selectFrom('outbox')
      .select('account_id')
      .where('state', '=', 'waiting')
      .where('kind', '=', kind)
      .where('due_at', '<=', now)
      .where('lease_until', '<=', now)
      .groupBy('account_id')
      .orderBy((eb) => eb.fn.min('due_at'))
      .execute();
    return rows.map((row) => row.account_id);
  }

  /** Takes up to `limit` due jobs of an account, the longest due first. Taking a job counts as an attempt. */
  async take(kind: string, accountId: string, limit: number): Promise<TakenJob[]> {
    const now = Date.now();
    const lease = randomUUID();
    const rows = await this.#db.kysely
      .updateTable('outbox')
      .set((eb) => ({ lease, lease_until: now + this.#leaseMs, attempts: eb('attempts', '+', 1) }))
      .where('id', 'in', (eb) =>
        eb
          .selectFrom('outbox')
          .select('id')
          .where('kind', '=', kind)
          .where('account_id', '=', accountId)
          .where('state', '=', 'waiting')
          .where('due_at', '<=', now)
          .where('lease_until', '<=', now)
          .orderBy('due_at')
          .limit(limit)
          // SQLite has one writer at a time. On Postgres the processes must not wait for each other here.
          .$if(this.#db.engine === 'postgres', (select) => select.forUpdate().skipLocked()),
      )
      .returningAll()
      .execute();
    const taken = rows.map((row) => ({ ...jobOf(row), lease, revision: row.revision }));
    const spent = taken.filter((job) => job.attempts > this.#maxAttempts);
    for (const job of spent) {
      await this.bury(job, 'No attempt is left: the process ended during each of them.');
    }
    return taken.filter((job) => !spent.includes(job));
  }

  /** Renews the lease, in the transaction that stores what happened. Progress resets the attempts. @throws LeaseLost */
  async renew(trx: Transaction<Schema>, job: TakenJob, isProgress: boolean): Promise<void> {
    const renewed = await trx
      .updateTable('outbox')
      .set({ lease_until: Date.now() + this.#leaseMs, ...(isProgress && { attempts: 1, reason: null }) })
      .where('id', '=', job.id)
      .where('lease', '=', job.lease)
      .returning('id')
      .executeTakeFirst();
    if (renewed === undefined) throw new LeaseLost();
    if (isProgress) job.attempts = 1;
  }

  /** Marks the job done. If it was enqueued again meanwhile, it is due at once. */
  async complete(job: TakenJob): Promise<void> {
    await this.#release(job, { state: 'done', attempts: 0, reason: null });
  }

  /** Makes the job due in `ms`. This attempt does not count. */
  async defer(job: TakenJob, ms: number, reason: string | null = job.reason): Promise<void> {
    await this.#release(job, { due_at: Date.now() + Math.ceil(ms), attempts: job.attempts - 1, reason });
  }

  /** Makes the job due after a backoff, or a dead letter if no attempt is left. */
  async fail(job: TakenJob, reason: string, retryAfterMs = 0): Promise<'waiting' | 'dead'> {
    if (job.attempts >= this.#maxAttempts) {
      await this.bury(job, `No attempt is left after ${job.attempts} failures. ${reason}`);
      return 'dead';
    }
    // Full jitter, so that jobs which failed together do not come back together.
    const limitMs = Math.min(this.#firstDelayMs * 2 ** (job.attempts - 1), this.#longestDelayMs);
    const delayMs = Math.ceil(retryAfterMs + Math.random() * limitMs);
    await this.#release(job, { due_at: Date.now() + delayMs, reason });
    return 'waiting';
  }

  /** Makes the job a dead letter: no attempt can help before somebody acts on the reason. */
  async bury(job: TakenJob, reason: string): Promise<void> {
    await this.#release(job, { state: 'dead', reason });
  }

  /** The newest jobs first. */
  async list(query: { state?: JobState | undefined; limit?: number } = {}): Promise<Job[]> {
    const rows = await this.#db.kysely
      .selectFrom('outbox')
      .selectAll()
      .$if(query.state !== undefined, (select) => select.where('state', '=', query.state!))
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(query.limit ?? 100)
      .execute();
    return rows.map(jobOf);
  }

  async get(kind: string, subject: Subject): Promise<Job | undefined> {
    const row = await this.#db.kysely
      .selectFrom('outbox')
      .selectAll()
      .where((eb) => eb.and(columnsOf(kind, subject)))
      .executeTakeFirst();
    return row && jobOf(row);
  }

  /**
   * Makes a dead letter or a waiting job due now, and resets its attempts.
   *
   * @throws Problem `not_found` if there is no such job or it is done
   */
  async retry(id: string): Promise<Job> {
    const row = await this.#db.kysely
      .updateTable('outbox')
      .set(dueNow())
      .where('id', '=', id)
      .where('state', '!=', 'done')
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) throw new Problem('not_found', `The outbox has no unfinished job ${id}.`);
    return jobOf(row);
  }

  /**
   * Makes dead letters due now, and resets their attempts.
   *
   * @param accountIds only the jobs of these accounts; default: of every account
   * @returns how many jobs it changed
   */
  async retryDead(accountIds?: readonly string[]): Promise<number> {
    const { numUpdatedRows } = await this.#db.kysely
      .updateTable('outbox')
      .set(dueNow())
      .where('state', '=', 'dead')
      .$if(accountIds !== undefined, (update) => update.where('account_id', 'in', accountIds!))
      .executeTakeFirst();
    return Number(numUpdatedRows);
  }

  /** Releases the lease and stores the changes. If the job was enqueued again meanwhile, the changes are dropped. */
  async #release(job: TakenJob, changes: Partial<OutboxRow>): Promise<void> {
    const mine = this.#db.kysely
      .updateTable('outbox')
      .where('id', '=', job.id)
      .where('lease', '=', job.lease);
    const released = { lease: null, lease_until: 0, updated_at: Date.now() };
    const ended = await mine
      .set({ ...changes, ...released })
      .where('revision', '=', job.revision)
      .returning('id')
      .executeTakeFirst();
    if (ended === undefined) await mine.set(released).execute();
  }
}

function dueNow() {
  const now = Date.now();
  return { state: 'waiting', attempts: 0, due_at: now, updated_at: now } as const;
}

function columnsOf(kind: string, { accountId, externalId }: Subject) {
  return { kind, account_id: accountId, external_id: externalId };
}
