import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import type { Database } from '../db/open.ts';
import type { OutboxRow, Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import type { JobState } from '../unions.ts';

/** A recording on its way to HubSpot. */
export interface Job {
  id: string;
  accountId: string;
  externalId: string;
  state: JobState;
  /** Since the last step that ended well. */
  attempts: number;
  dueAt: Date;
  /** Why the last attempt failed, in one sentence. */
  reason: string | null;
  createdAt: Date;
  updatedAt: Date;
}

/** A job that this process may work on as long as its lease holds. */
export interface TakenJob extends Job {
  lease: string;
  revision: number;
}

/** The lease ran out and somebody else may have the job: leave it alone. */
export class LeaseLost extends Error {
  override name = 'LeaseLost';
}

export interface OutboxOptions {
  /** How long a job stays with a process that says nothing more of it, in milliseconds. */
  leaseMs?: number;
  /** Attempts without progress before a job becomes a dead letter. */
  maxAttempts?: number;
  /** Of the backoff: its first and its longest upper limit, in milliseconds. */
  firstDelayMs?: number;
  longestDelayMs?: number;
  /** How long a HubSpot account stays with the process that spoke to it last; longer than HubSpot's window of 10 s. */
  speakMs?: number;
}

type Trx = Transaction<Schema>;

/**
 * Durable jobs, one for each recording, in the database that the processes share. A process takes a job
 * with a lease; if it dies, the job is free again when the lease runs out. The defaults try for about ten
 * hours. Every method may throw Problem `database_unavailable`.
 */
export class Outbox {
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #maxAttempts: number;
  readonly #firstDelayMs: number;
  readonly #longestDelayMs: number;
  readonly #speakMs: number;
  readonly #process = randomUUID();
  /** Until when this process speaks to which HubSpot account. */
  readonly #speaks = new Map<string, number>();

  constructor(db: Database, options: OutboxOptions = {}) {
    this.#db = db;
    this.#leaseMs = options.leaseMs ?? 60_000;
    this.#maxAttempts = options.maxAttempts ?? 30;
    this.#firstDelayMs = options.firstDelayMs ?? 1_000;
    this.#longestDelayMs = options.longestDelayMs ?? 3_600_000;
    this.#speakMs = options.speakMs ?? 15_000;
  }

  /**
   * To be called first by a transaction that enqueues at its end: whoever writes what belongs to a job has
   * its row in the outbox first, so that no two wait for each other.
   */
  async lock(trx: Trx, subject: { accountId: string; externalId: string }): Promise<void> {
    await trx
      .selectFrom('outbox')
      .select('id')
      .where('account_id', '=', subject.accountId)
      .where('external_id', '=', subject.externalId)
      .$if(this.#db.engine === 'postgres', (select) => select.forUpdate())
      .execute();
  }

  /** Makes the job due now, in the transaction that stores its work. A dead letter comes to life again. */
  async enqueue(trx: Trx, subject: { accountId: string; externalId: string }): Promise<void> {
    const now = Date.now();
    const fresh = { state: 'waiting', attempts: 0, due_at: now, reason: null, updated_at: now } as const;
    await trx
      .insertInto('outbox')
      .values({
        ...fresh,
        id: randomUUID(),
        account_id: subject.accountId,
        external_id: subject.externalId,
        revision: 1,
        lease: null,
        lease_until: 0,
        created_at: now,
      })
      .onConflict((conflict) =>
        conflict
          .columns(['account_id', 'external_id'])
          .doUpdateSet((eb) => ({ ...fresh, revision: eb('outbox.revision', '+', 1) })),
      )
      .execute();
  }

  /** Accounts that have a job due, longest due first. */
  async dueAccounts(): Promise<string[]> {
    const now = Date.now();
    const rows = await this.#db.kysely
      .selectFrom('outbox')
      .select('account_id')
      .where('state', '=', 'waiting')
      .where('due_at', '<=', now)
      .where('lease_until', '<=', now)
      .groupBy('account_id')
      .orderBy((eb) => eb.fn.min('due_at'))
      .execute();
    return rows.map((row) => row.account_id);
  }

  /**
   * Whether this process may speak to a HubSpot account: only one does at a time, and the next one only
   * after HubSpot's window has passed, so that the limits which each keeps for itself hold for all.
   */
  async maySpeakTo(portal: string): Promise<boolean> {
    const now = Date.now();
    if ((this.#speaks.get(portal) ?? 0) > now + this.#speakMs / 2) return true;
    const mine = { process: this.#process, until: now + this.#speakMs };
    const row = await this.#db.kysely
      .insertInto('speakers')
      .values({ portal, ...mine })
      .onConflict((conflict) =>
        conflict
          .column('portal')
          .doUpdateSet(mine)
          .where((eb) =>
            eb.or([eb('speakers.process', '=', this.#process), eb('speakers.until', '<=', now)]),
          ),
      )
      .returning('portal')
      .executeTakeFirst();
    if (row) this.#speaks.set(portal, mine.until);
    return row !== undefined;
  }

  /** Takes up to `limit` due jobs of an account, longest due first. Each taking counts as an attempt. */
  async take(accountId: string, limit: number): Promise<TakenJob[]> {
    const now = Date.now();
    const lease = randomUUID();
    const rows = await this.#db.kysely
      .updateTable('outbox')
      .set((eb) => ({ lease, lease_until: now + this.#leaseMs, attempts: eb('attempts', '+', 1) }))
      .where('id', 'in', (eb) =>
        eb
          .selectFrom('outbox')
          .select('id')
          .where('account_id', '=', accountId)
          .where('state', '=', 'waiting')
          .where('due_at', '<=', now)
          .where('lease_until', '<=', now)
          .orderBy('due_at')
          .limit(limit)
          // SQLite has one writer at a time; on Postgres the takers must not wait for each other.
          .$if(this.#db.engine === 'postgres', (select) => select.forUpdate().skipLocked()),
      )
      .returningAll()
      .execute();
    const taken = rows.map((row) => ({ ...jobOf(row), lease, revision: row.revision }));
    const spent = taken.filter((job) => job.attempts > this.#maxAttempts);
    for (const job of spent) {
      await this.bury(job, 'Given up: the process ended in the middle of every attempt.');
    }
    return taken.filter((job) => !spent.includes(job));
  }

  /** Renews the lease, in the transaction that stores what happened. Progress starts the attempts anew. */
  async renew(trx: Trx, job: TakenJob, progress: boolean): Promise<void> {
    const renewed = await trx
      .updateTable('outbox')
      .set({ lease_until: Date.now() + this.#leaseMs, ...(progress && { attempts: 1, reason: null }) })
      .where('id', '=', job.id)
      .where('lease', '=', job.lease)
      .returning('id')
      .executeTakeFirst();
    if (renewed === undefined) throw new LeaseLost();
    if (progress) job.attempts = 1;
  }

  /** The job is done, unless it was enqueued again meanwhile: then it is due at once. */
  async complete(job: TakenJob): Promise<void> {
    await this.#end(job, { state: 'done', attempts: 0, reason: null });
  }

  /** Back to the outbox until `ms` from now; this attempt does not count. */
  async defer(job: TakenJob, ms: number, reason: string | null = job.reason): Promise<void> {
    await this.#end(job, { due_at: Date.now() + ms, attempts: job.attempts - 1, reason });
  }

  /** Puts the job off, or among the dead letters once it was attempted too often. */
  async fail(job: TakenJob, reason: string, retryAfterMs = 0): Promise<'waiting' | 'dead'> {
    if (job.attempts >= this.#maxAttempts) {
      await this.bury(job, `Given up after ${job.attempts} attempts. ${reason}`);
      return 'dead';
    }
    // Full jitter: anywhere up to the limit, so that jobs which failed together do not come back together.
    const limit = Math.min(this.#firstDelayMs * 2 ** (job.attempts - 1), this.#longestDelayMs);
    await this.#end(job, { due_at: Date.now() + retryAfterMs + Math.random() * limit, reason });
    return 'waiting';
  }

  /** Among the dead letters: no attempt can help before somebody does something about the reason. */
  async bury(job: TakenJob, reason: string): Promise<void> {
    await this.#end(job, { state: 'dead', reason });
  }

  /** The newest jobs. */
  async list(query: { state?: Job['state'] | undefined; limit?: number } = {}): Promise<Job[]> {
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

  async get(accountId: string, externalId: string): Promise<Job | undefined> {
    const row = await this.#db.kysely
      .selectFrom('outbox')
      .selectAll()
      .where('account_id', '=', accountId)
      .where('external_id', '=', externalId)
      .executeTakeFirst();
    return row && jobOf(row);
  }

  /**
   * Makes a dead letter, or a job that waits, due now with all its attempts before it.
   *
   * @throws Problem `not_found` where there is no such job, or it is done
   */
  async retry(id: string): Promise<Job> {
    const now = Date.now();
    const row = await this.#db.kysely
      .updateTable('outbox')
      .set({ state: 'waiting', attempts: 0, due_at: now, updated_at: now })
      .where('id', '=', id)
      .where('state', '!=', 'done')
      .returningAll()
      .executeTakeFirst();
    if (row === undefined) throw new Problem('not_found', `The outbox has nothing to retry under ${id}.`);
    return jobOf(row);
  }

  /**
   * Makes dead letters due now with all their attempts before them.
   *
   * @param accountIds left out: those of every account
   * @returns how many there were
   */
  async retryDead(accountIds?: readonly string[]): Promise<number> {
    const now = Date.now();
    const { numUpdatedRows } = await this.#db.kysely
      .updateTable('outbox')
      .set({ state: 'waiting', attempts: 0, due_at: now, updated_at: now })
      .where('state', '=', 'dead')
      .$if(accountIds !== undefined, (update) => update.where('account_id', 'in', accountIds!))
      .executeTakeFirst();
    return Number(numUpdatedRows);
  }

  async #end(job: TakenJob, changes: Partial<OutboxRow>): Promise<void> {
    const now = Date.now();
    const mine = this.#db.kysely
      .updateTable('outbox')
      .where('id', '=', job.id)
      .where('lease', '=', job.lease);
    const released = { lease: null, lease_until: 0, updated_at: now };
    const ended = await mine
      .set({
        ...changes,
        ...released,
        ...(changes.due_at !== undefined && { due_at: Math.ceil(changes.due_at) }),
      })
      .where('revision', '=', job.revision)
      .returning('id')
      .executeTakeFirst();
    if (ended === undefined) await mine.set(released).execute();
  }
}

function jobOf(row: OutboxRow): Job {
  return {
    id: row.id,
    accountId: row.account_id,
    externalId: row.external_id,
    state: row.state,
    attempts: row.attempts,
    dueAt: new Date(row.due_at),
    reason: row.reason,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}
