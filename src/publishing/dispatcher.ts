import { CrmError } from '../crm/crm.ts';
import { Problem, problems } from '../errors.ts';
import { type Job, LeaseLost, type Outbox, type TakenJob } from './outbox.ts';

/** How jobs of one kind are done. `parts.ts` lists the kinds. */
export interface JobKind {
  /** Stored with each job: never rename one. */
  readonly name: string;

  /**
   * The lane that an account's jobs run in. Each lane has room of its own, so a lane that waits for a rate limit
   * keeps no other waiting. `undefined` if another process does these jobs at present.
   */
  laneOf(accountId: string): Promise<string | undefined>;

  /**
   * Does the job as far as `mayGoOn` allows: ask it before each step.
   *
   * @returns whether the job is done
   * @throws DeadEnd, NotYet, LeaseLost; CrmError and any other error count as a failed attempt
   */
  run(job: TakenJob, mayGoOn: () => Promise<boolean>): Promise<boolean>;
}

/** No attempt can help before somebody acts; the message says what to do. */
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
  /** How often the database is asked for due jobs, in ms. */
  pollMs?: number;
}

/** Enough jobs at one time to use HubSpot's rate limit at a latency of one second. */
const jobsPerLane = 16;
const jobsInAll = 400;

/** Takes due jobs from the outbox and has their kinds do them. Several processes may do so at once. */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  /** Lanes with jobs under way, by kind and lane, each with an account that it serves. */
  readonly #lanes = new Map<string, { kind: JobKind; jobs: number; accountId: string }>();
  readonly #running = new Set<Promise<void>>();
  #loop: Promise<void> | undefined;
  #stopping = false;
  #woken = false;
  #wake = () => {};

  constructor(options: DispatcherOptions) {
    this.#options = options;
    options.outbox.onDue(() => this.#rouse());
  }

  /** Works until `stop`. */
  start(): void {
    this.#loop ??= this.#dispatch();
  }

  /** Takes no more jobs, and resolves when the steps under way have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#rouse();
    await this.#loop;
    await Promise.all(this.#running);
  }

  async #dispatch(): Promise<void> {
    const { kinds, log, pollMs = 1_000 } = this.#options;
    while (!this.#stopping) {
      this.#woken = false;
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
    const busy = [...this.#lanes.values()].filter((lane) => lane.kind === kind);
    const accountIds = [...(await outbox.dueAccounts(kind.name)), ...busy.map((lane) => lane.accountId)];
    for (const accountId of new Set(accountIds)) {
      const lane = await kind.laneOf(accountId);
      if (lane === undefined) continue;
      const jobs = this.#lanes.get(laneName(kind, lane))?.jobs ?? 0;
      const room = Math.min(jobsPerLane - jobs, jobsInAll - this.#running.size);
      if (room <= 0) continue;
      for (const job of await outbox.take(kind.name, accountId, room)) this.#run(kind, lane, job);
    }
  }

  /** Waits for `ms`, or until somebody rouses us. */
  async #idle(ms: number): Promise<void> {
    if (this.#woken || this.#stopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #rouse(): void {
    this.#woken = true;
    this.#wake();
  }

  #run(kind: JobKind, laneOfJob: string, job: TakenJob): void {
    const name = laneName(kind, laneOfJob);
    const lane = this.#lanes.get(name) ?? { kind, jobs: 0, accountId: job.accountId };
    this.#lanes.set(name, lane);
    lane.jobs++;
    const run = this.#attempt(kind, job)
      .catch((error: unknown) => this.#decide(job, error))
      // If the database cannot be written, the lease expires by itself.
      .catch((error: unknown) => this.#options.log?.error({ err: error }, 'The outbox could not be written.'))
      .finally(() => {
        this.#running.delete(run);
        if (--lane.jobs === 0) this.#lanes.delete(name);
        this.#rouse();
      });
    this.#running.add(run);
  }

  async #attempt(kind: JobKind, job: TakenJob): Promise<void> {
    const { outbox } = this.#options;
    const mayGoOn = async () => !this.#stopping && (await kind.laneOf(job.accountId)) !== undefined;
    const isDone = await kind.run(job, mayGoOn);
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

  async #failUnexpectedly(job: Job & TakenJob, error: unknown): Promise<void> {
    const { outbox, log } = this.#options;
    const { kind, accountId, externalId } = job;
    log?.error({ err: error, kind, accountId, externalId }, 'A job failed.');
    await outbox.fail(job, error instanceof Problem ? error.message : problems.internal.sentence);
  }
}

function laneName(kind: JobKind, lane: string): string {
  return `${kind.name} ${lane}`;
}
