import { CrmError } from '../crm/crm.ts';
import { Problem, problems } from '../errors.ts';
import type { TakenJob } from './job.ts';
import { LeaseLost, type Outbox } from './outbox.ts';

/** How jobs of one kind are done. `parts.ts` lists the kinds. */
export interface JobKind {
  /** Stored with each job: never rename one. */
  readonly name: string;

  /**
   * The lane that an account's jobs run in. Each lane has its own limit of jobs, so a lane that waits for a rate
   * limit does not delay the others. `undefined` if another process does these jobs at present.
   */
  laneOf(accountId: string): Promise<string | undefined>;

  /**
   * Does the job step by step. It must call `mayContinue` before each step, and stop if the result is false.
   *
   * @returns whether the job is done
   * @throws DeadEnd, NotYet, LeaseLost; CrmError and any other error count as a failed attempt
   */
  run(job: TakenJob, mayContinue: () => Promise<boolean>): Promise<boolean>;
}

/** No attempt can help until somebody acts. The message says what to do. */
export class DeadEnd extends Error {}

/** It is too early to tell: try again after `ms`. The attempt does not count. */
export class NotYet extends Error {
  readonly ms: number;
  constructor(message: string, ms: number) {
    super(message);
    this.ms = ms;
  }
}

export interface DispatcherOptions {
  outbox: Outbox;
  kinds: JobKind[];
  log?: { error(details: object, message: string): void };
  /** Interval between two queries for due jobs, in ms. */
  pollMs?: number;
}

/** Jobs that run at one time in a lane: enough to use up HubSpot's rate limit at a latency of one second. */
const maxJobsPerLane = 16;
/** Jobs that run at one time in the process. */
const maxJobs = 400;

/** Takes due jobs from the outbox and has their kinds do them. Several processes may do so at once. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  /** Lanes with running jobs, by `laneKey`. `accountId` is one of the accounts whose jobs run in the lane. */
  readonly #lanes = new Map<string, { kind: JobKind; jobs: number; accountId: string }>();
  readonly #running = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;
  #stopping = false;
  #isWoken = false;
  #endIdle = () => {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
    options.outbox.onDue(() => this.#wake());
  }

  /** Works until `stop`. */
  start(): void {
    this.#loop ??= this.#dispatch();
  }

  /** Takes no more jobs, and resolves when the steps under way have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#wake();
    await this.#loop;
    await Promise.all(this.#running);
  }

  async #dispatch(): Promise<void> {
    const { kinds, log, pollMs = 1_000 } = this.#options;
    while (!this.#stopping) {
      this.#isWoken = false;
      try {
        for (const kind of kinds) await this.#takeJobs(kind);
      } catch (error) {
        log?.error({ err: error }, 'The outbox could not be read.');
      }
      await this.#idle(pollMs);
    }
  }

  async #takeJobs(kind: JobKind): Promise<void> {
    const { outbox } = this.#options;
    // Busy lanes are included even if nothing is due, because `laneOf` renews their leases on the portal.
    const busy = [...this.#lanes.values()].filter((lane) => lane.kind === kind);
    const accountIds = [...(await outbox.dueAccounts(kind.name)), ...busy.map((lane) => lane.accountId)];
    for (const accountId of new Set(accountIds)) {
      const lane = await kind.laneOf(accountId);
      if (lane === undefined) continue;
      const jobs = this.#lanes.get(laneKey(kind, lane))?.jobs ?? 0;
      const room = Math.min(maxJobsPerLane - jobs, maxJobs - this.#running.size);
      if (room <= 0) continue;
      for (const job of await outbox.take(kind.name, accountId, room)) this.#run(kind, lane, job);
    }
  }

  /** Waits for `ms`, or until `#wake` is called. */
  async #idle(ms: number): Promise<void> {
    if (this.#isWoken || this.#stopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#endIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #wake(): void {
    this.#isWoken = true;
    this.#endIdle();
  }

  #run(kind: JobKind, laneName: string, job: TakenJob): void {
    const key = laneKey(kind, laneName);
    const lane = this.#lanes.get(key) ?? { kind, jobs: 0, accountId: job.accountId };
    this.#lanes.set(key, lane);
    lane.jobs++;
    const run = this.#attempt(kind, job)
      .catch((error: unknown) => this.#decide(job, error))
      // If the database cannot be written, the lease expires by itself.
      .catch((error: unknown) => this.#options.log?.error({ err: error }, 'The outbox could not be written.'))
      .finally(() => {
        this.#running.delete(run);
        if (--lane.jobs === 0) this.#lanes.delete(key);
        this.#wake();
      });
    this.#running.add(run);
  }

  async #attempt(kind: JobKind, job: TakenJob): Promise<void> {
    const { outbox } = this.#options;
    const mayContinue = async () => !this.#stopping && (await kind.laneOf(job.accountId)) !== undefined;
    const isDone = await kind.run(job, mayContinue);
    await (isDone ? outbox.complete(job) : outbox.defer(job, 0));
  }

  /** Decides what becomes of a job whose attempt failed. */
  async #decide(job: TakenJob, error: unknown): Promise<void> {
    const { outbox } = this.#options;
    if (error instanceof LeaseLost) return;
    if (error instanceof NotYet) return outbox.defer(job, error.ms, error.message);
    if (error instanceof DeadEnd) return outbox.bury(job, error.message);
    if (error instanceof CrmError && !error.retriable) return outbox.bury(job, error.message);
    if (error instanceof CrmError) await outbox.fail(job, error.message, error.retryAfterMs);
    else await this.#failUnexpectedly(job, error);
  }

  async #failUnexpectedly(job: TakenJob, error: unknown): Promise<void> {
    const { outbox, log } = this.#options;
    const { kind, accountId, externalId } = job;
    log?.error({ err: error, kind, accountId, externalId }, 'A job failed.');
    await outbox.fail(job, error instanceof Problem ? error.message : problems.internal.sentence);
  }
}

function laneKey(kind: JobKind, laneName: string): string {
  return `${kind.name} ${laneName}`;
}
