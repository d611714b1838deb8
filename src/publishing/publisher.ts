import { LRUCache } from 'lru-cache';
import { Problem, problems } from '../errors.ts';
import { warningsOf } from '../hubspot/call.ts';
import type { HubSpotClient } from '../hubspot/client.ts';
import { HubSpotError } from '../hubspot/error.ts';
import type { Metrics } from '../metrics.ts';
import type { Catalog, Recording } from '../recordings/catalog.ts';
import { type Job, LeaseLost, type Outbox, type TakenJob } from './outbox.ts';
import type { Publications, Step } from './publications.ts';
import { DeadEnd, NotYet, perform, propertiesOf } from './steps.ts';

/** How far a recording has come on its way to HubSpot. */
export interface Publication extends Pick<Job, 'state' | 'attempts' | 'dueAt' | 'reason'> {
  /** For `playhead outbox retry`. */
  jobId: string;
  /** HubSpot's id of the call, once it is logged. */
  callId: string | null;
  /** What HubSpot may refuse although we do not. */
  warnings: string[];
  steps: Step[];
}

export interface PublisherOptions {
  catalog: Catalog;
  outbox: Outbox;
  publications: Publications;
  /** @throws HubSpotError `NOT_CONNECTED` for an account that no installation serves */
  clientFor(accountId: string): Promise<HubSpotClient>;
  /** The app that calls are logged for. */
  appId: string;
  metrics: Pick<Metrics, 'publishSteps'>;
  log?: { error(details: object, message: string): void };
  /**
   * After an attempt of unknown outcome, how long until a search that finds nothing is believed, in
   * milliseconds: the client's deadline and the lag of HubSpot's search index, up to 30 s.
   */
  settleMs?: number;
  /** How often the database is asked for due jobs. */
  pollMs?: number;
}

/** Publications under way for one HubSpot account: enough to use HubSpot's limit at a second's latency. */
const perPortal = 16;
const inAll = 400;

/**
 * Takes recordings to HubSpot, step by step: log the call, associate it, mark the recording ready. A step
 * is stored before it runs and after it ends, so that killing the process at any instant loses none; a
 * call whose logging has an unknown outcome is looked for before it is logged again.
 *
 * A recording that is replaced after it was marked ready is marked again when it is published again. A
 * call deleted at HubSpot is not logged again. What cannot succeed by itself is a dead letter.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #settleMs: number;
  /** Jobs under way, by HubSpot account, and one of the accounts that it serves. */
  readonly #busy = new Map<string, { jobs: number; accountId: string }>();
  readonly #running = new Set<Promise<void>>();
  /** One that is forgotten only makes the search longer. */
  readonly #doubts = new LRUCache<string, number>({ max: 10_000 });
  #loop: Promise<void> | undefined;
  #stopping = false;
  #woken = false;
  #wake = () => {};

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#settleMs = options.settleMs ?? 40_000;
  }

  /**
   * Sends a recording on its way, or adds what is missing: done again, it changes nothing.
   *
   * @throws Problem `refused_audio` where there is no audio, `invalid_request` for call data that HubSpot
   *   would refuse
   */
  async publish(recording: Recording): Promise<Publication> {
    if (recording.key === null) throw new Problem('refused_audio');
    try {
      propertiesOf(recording, this.#options.appId);
    } catch (error) {
      throw error instanceof HubSpotError ? new Problem('invalid_request', error.message) : error;
    }
    if (await this.#options.publications.plan(recording)) this.#rouse();
    return (await this.status(recording))!;
  }

  /** `undefined` for a recording that was never published. */
  async status(recording: Recording): Promise<Publication | undefined> {
    const job = await this.#options.outbox.get(recording.accountId, recording.externalId);
    if (!job) return undefined;
    const steps = await this.#options.publications.steps(recording);
    const { id: jobId, state, attempts, dueAt, reason } = job;
    const callId = steps.find((step) => step.kind === 'log')?.result ?? null;
    const warnings = warningsOf({ hs_call_app_id: this.#options.appId });
    return { jobId, state, attempts, dueAt, reason, callId, warnings, steps };
  }

  /** Works off the outbox until `stop`. Several processes may do so at once. */
  start(): void {
    this.#loop ??= this.#takeJobs();
  }

  /** Takes no more jobs, and resolves once the steps under way have ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#rouse();
    await this.#loop;
    await Promise.all(this.#running);
  }

  async #takeJobs(): Promise<void> {
    const { outbox, pollMs = 1_000, log } = this.#options;
    while (!this.#stopping) {
      this.#woken = false;
      try {
        const busy = [...this.#busy.values()].map(({ accountId }) => accountId);
        for (const accountId of new Set([...(await outbox.dueAccounts()), ...busy])) {
          const portal = await this.#portalOf(accountId);
          if (portal === undefined) continue;
          // Each HubSpot account has room of its own: one that waits for its limit keeps nobody waiting.
          const jobs = this.#busy.get(portal)?.jobs ?? 0;
          const room = Math.min(perPortal - jobs, inAll - this.#running.size);
          if (room <= 0) continue;
          for (const job of await outbox.take(accountId, room)) this.#run(job, portal);
        }
      } catch (error) {
        log?.error({ err: error }, 'The outbox could not be read.');
      }
      await this.#rest(pollMs);
    }
  }

  /** The HubSpot account behind `accountId`; undefined where another process publishes to it. */
  async #portalOf(accountId: string): Promise<string | undefined> {
    try {
      const { portal } = await this.#options.clientFor(accountId);
      return (await this.#options.outbox.maySpeakTo(portal)) ? portal : undefined;
    } catch (error) {
      // There is none behind it: what is due shall say so.
      if (error instanceof HubSpotError) return 'none';
      throw error;
    }
  }

  /** Until somebody rouses us, or `ms` have passed. */
  async #rest(ms: number): Promise<void> {
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

  #run(job: TakenJob, portal: string): void {
    const busy = this.#busy.get(portal) ?? { jobs: 0, accountId: job.accountId };
    this.#busy.set(portal, busy);
    busy.jobs++;
    const run = this.#work(job)
      .catch((error: unknown) => this.#settle(job, error))
      // The lease runs out by itself where the database cannot be told.
      .catch((error: unknown) => this.#options.log?.error({ err: error }, 'The outbox could not be written.'))
      .finally(() => {
        this.#running.delete(run);
        if (--busy.jobs === 0) this.#busy.delete(portal);
        this.#rouse();
      });
    this.#running.add(run);
  }

  async #work(job: TakenJob): Promise<void> {
    const { outbox, publications, catalog, clientFor, metrics } = this.#options;
    const client = await clientFor(job.accountId);
    while (!this.#stopping && (await this.#portalOf(job.accountId)) !== undefined) {
      const steps = await publications.steps(job);
      const step = steps.find(({ state }) => state !== 'done');
      if (!step) return outbox.complete(job);
      // Asked of the database itself: `get` may answer from memory, and the audio may just have changed.
      const { recordings } = await catalog.list({ ...idsOf(job), limit: 1 });
      const recording = recordings[0];
      if (!recording) throw new DeadEnd('The recording was removed.');
      const callId = steps.find(({ kind }) => kind === 'log')?.result ?? '';
      const count = (outcome: string) => metrics.publishSteps.inc({ step: step.kind, outcome });
      await perform({
        job,
        step,
        recording,
        callId,
        client,
        publications,
        settleMs: this.#settleMs,
        doubts: this.#doubts,
      }).then(
        () => count('done'),
        (error: unknown) => {
          count(error instanceof NotYet ? 'deferred' : 'failed');
          throw error;
        },
      );
    }
    await outbox.defer(job, 0);
  }

  /** Where a job goes whose attempt has failed. */
  async #settle(job: TakenJob, error: unknown): Promise<void> {
    const { outbox, log } = this.#options;
    if (error instanceof LeaseLost) return;
    if (error instanceof NotYet) return outbox.defer(job, error.ms, error.message);
    if (error instanceof DeadEnd) return outbox.bury(job, error.message);
    if (error instanceof HubSpotError) {
      if (!error.retriable) return outbox.bury(job, error.message);
      await outbox.fail(job, error.message, error.retryAfterMs);
      return;
    }
    log?.error({ err: error, accountId: job.accountId, externalId: job.externalId }, 'A publication failed.');
    await outbox.fail(job, error instanceof Problem ? error.message : problems.internal.sentence);
  }
}

function idsOf({ accountId, externalId }: Job) {
  return { accountId, externalId };
}
