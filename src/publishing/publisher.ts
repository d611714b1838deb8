import { LRUCache } from 'lru-cache';
import { type Crm, CrmError } from '../crm/crm.ts';
import type { Leases } from '../db/leases.ts';
import { Problem } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Catalog } from '../recordings/catalog.ts';
import type { Recording } from '../recordings/recording.ts';
import { DeadEnd, type JobKind, NotYet } from './dispatcher.ts';
import type { Job, TakenJob } from './job.ts';
import type { Outbox } from './outbox.ts';
import { jobKind, type Publications, type Step } from './publications.ts';
import { recordedCall, runStep } from './steps.ts';

/** How far a recording has come on its way to the CRM. */
export interface Publication extends Pick<Job, 'state' | 'attempts' | 'dueAt' | 'reason'> {
  /** For `playhead outbox retry`. */
  jobId: string;
  /** The CRM's id of the call, once it is logged. */
  callId: string | null;
  /** What the CRM may reject although we do not. */
  warnings: string[];
  steps: Step[];
}

/** HubSpot's search finds a new call after this time at the latest. */
export const searchIndexDelayMs = 30_000;
/** Must be at least the client's deadline and `searchIndexDelayMs` together. */
export const defaultSearchDelayMs = 40_000;

export interface PublisherOptions {
  catalog: Catalog;
  outbox: Outbox;
  publications: Publications;
  leases: Leases;
  crm: Crm;
  metrics: Pick<Metrics, 'publishSteps'>;
  /** How long a call of unknown outcome is searched for before it is logged again, in ms. */
  searchDelayMs?: number;
}

/**
 * The kind of jobs that publish recordings to the CRM, in steps: log the call, associate it, mark the recording
 * ready. A step is stored before it runs and after it ends, so none is lost if the process is killed. If it is
 * unknown whether a call was logged, the call is searched for before it is logged again.
 *
 * If the audio is replaced after it was marked ready, the next publication marks it again. A call that was deleted
 * at the CRM is not logged again.
 */
export class Publisher implements JobKind {
  readonly name = jobKind;
  readonly #options: PublisherOptions;
  readonly #searchDelayMs: number;
  /** When the search for a call began, by job. If an entry is evicted, the search only takes longer. */
  readonly #searchingSince = new LRUCache<string, number>({ max: 10_000 });

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#searchDelayMs = options.searchDelayMs ?? defaultSearchDelayMs;
  }

  /**
   * Enqueues the steps that a recording needs and does not have yet. Safe to repeat.
   *
   * @throws Problem `refused_audio` if there is no audio; `invalid_request` if the CRM would reject the call data
   */
  async publish(recording: Recording): Promise<Publication> {
    const { crm, publications, outbox } = this.#options;
    if (recording.key === null) throw new Problem('refused_audio');
    try {
      crm.check(recordedCall(recording));
    } catch (error) {
      throw error instanceof CrmError ? new Problem('invalid_request', error.message) : error;
    }
    if (await publications.plan(recording)) outbox.announceDue();
    return (await this.status(recording))!;
  }

  /** `undefined` for a recording that was never published. */
  async status(recording: Recording): Promise<Publication | undefined> {
    const { outbox, publications, crm } = this.#options;
    const job = await outbox.get(jobKind, recording);
    if (!job) return undefined;
    const steps = await publications.steps(recording);
    const { id: jobId, state, attempts, dueAt, reason } = job;
    return {
      jobId,
      state,
      attempts,
      dueAt,
      reason,
      callId: callIdOf(steps),
      warnings: crm.warnings(),
      steps,
    };
  }

  /** Each portal is a lane. Accounts without one share the lane `none`, so that their jobs fail with the reason. */
  async laneOf(accountId: string): Promise<string | undefined> {
    try {
      const { id } = await this.#options.crm.portalFor(accountId);
      return (await this.#options.leases.take(`portal ${id}`)) ? id : undefined;
    } catch (error) {
      if (error instanceof CrmError) return 'none';
      throw error;
    }
  }

  async run(job: TakenJob, mayContinue: () => Promise<boolean>): Promise<boolean> {
    const { publications, catalog, crm } = this.#options;
    const portal = await crm.portalFor(job.accountId);
    while (await mayContinue()) {
      const steps = await publications.steps(job);
      const step = steps.find(({ state }) => state !== 'done');
      if (!step) return true;
      // `read`, because `get` may return a cached recording: another process may have just replaced the audio.
      const recording = await catalog.read(job.accountId, job.externalId);
      if (!recording) throw new DeadEnd('The recording was removed.');
      const callId = callIdOf(steps) ?? '';
      const searchDelayMs = this.#searchDelayMs;
      const searchingSince = this.#searchingSince;
      const run = { job, step, recording, callId, portal, publications, searchDelayMs, searchingSince };
      await this.#counted(step, runStep(run));
    }
    return false;
  }

  async #counted(step: Step, run: Promise<void>): Promise<void> {
    const count = (outcome: string) => this.#options.metrics.publishSteps.inc({ step: step.kind, outcome });
    try {
      await run;
      count('done');
    } catch (error) {
      count(error instanceof NotYet ? 'deferred' : 'failed');
      throw error;
    }
  }
}

function callIdOf(steps: Step[]): string | null {
  return steps.find(({ kind }) => kind === 'log')?.result ?? null;
}
