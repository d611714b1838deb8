import type { LRUCache } from 'lru-cache';
import type { RecordedCall } from '../crm/call.ts';
import { CrmError, type Portal } from '../crm/crm.ts';
import type { Recording } from '../recordings/recording.ts';
import { DeadEnd, NotYet } from './dispatcher.ts';
import type { TakenJob } from './job.ts';
import type { Publications, Step } from './publications.ts';

/** One step, and everything that it needs to run. */
export interface StepRun {
  job: TakenJob;
  step: Step;
  recording: Recording;
  /** The CRM's id of the call; empty until it is logged. */
  callId: string;
  portal: Portal;
  publications: Publications;
  /** How long a call of unknown outcome is searched for before it is logged again, in ms. */
  searchDelayMs: number;
  /** When this process began to search for a call, by job; from `performance.now()`. */
  searchingSince: LRUCache<string, number>;
}

/**
 * Runs one step and stores how it ended.
 *
 * @throws CrmError, DeadEnd, NotYet, LeaseLost
 */
export function runStep(run: StepRun): Promise<void> {
  const { step, recording, portal, callId } = run;
  switch (step.kind) {
    case 'log':
      return recording.call?.id === undefined
        ? logCall(run)
        : attempt(run, () => portal.adoptCall(recordedCall(recording)));
    case 'associate':
      return attempt(run, async () => {
        await portal.associate(callId, step.target!);
        return null;
      });
    case 'ready':
      return attempt(run, () => markReady(run));
  }
}

/** What the CRM receives about a recording. */
export function recordedCall(recording: Recording): RecordedCall {
  return {
    accountId: recording.accountId,
    externalId: recording.externalId,
    direction: recording.direction,
    call: recording.call ?? {},
    recordedAt: recording.createdAt,
    audioSeconds: recording.report.audio.durationSeconds,
  };
}

/** Stores that the step began, runs it, and stores how it ended. */
async function attempt(run: StepRun, action: () => Promise<string | null>): Promise<void> {
  await run.publications.begin(run.job, run.step);
  await finish(run, action);
}

async function finish(run: StepRun, action: () => Promise<string | null>): Promise<void> {
  const { job, step, publications, searchingSince } = run;
  let result: string | null;
  try {
    result = await action();
  } catch (error) {
    const outcomeUnknown = error instanceof CrmError ? error.outcomeUnknown : !(error instanceof DeadEnd);
    // This attempt may have logged the call just now, so the next search must last its full time.
    if (outcomeUnknown) searchingSince.delete(job.id);
    await publications.fail(job, step, (error as Error).message, outcomeUnknown);
    throw error;
  }
  searchingSince.delete(job.id);
  await publications.end(job, step, result);
}

/**
 * Logs the call once. After an attempt of unknown outcome (no response, a 5xx, a killed process) the call is
 * searched for until the CRM's search index must have it. If it is not found by then, it is logged again.
 *
 * The search is timed by this process's monotonic clock, because a clock that is set forward, or one of another
 * machine, could end it too early. The step begins when the rate limit has let its request through: if the lease was
 * lost during the wait, nothing is sent.
 */
async function logCall(run: StepRun): Promise<void> {
  const { job, step, portal, publications, searchingSince } = run;
  const recorded = recordedCall(run.recording);
  if (step.state === 'running') {
    const since = searchingSince.get(job.id) ?? performance.now();
    searchingSince.set(job.id, since);
    const found = await portal.findCall(recorded);
    if (found !== undefined) {
      searchingSince.delete(job.id);
      return publications.end(job, step, found);
    }
    const remainingMs = since + run.searchDelayMs - performance.now();
    if (remainingMs > 0) {
      const message = 'It is not known yet whether the call was logged. It is searched for again.';
      throw new NotYet(message, Math.min(remainingMs, run.searchDelayMs / 8)); // about eight searches in all
    }
  }
  await finish(run, () => portal.logCall(recorded, () => publications.begin(job, step)));
}

/**
 * Marks the recording ready if HubSpot can transcribe it. The current verdict decides, because the audio may have
 * been replaced since the plan.
 */
async function markReady({ portal, callId, recording }: StepRun): Promise<string> {
  if (recording.verdict !== 'pass' || recording.key === null) {
    const { verdict, codes } = recording.report;
    const why = codes.length > 0 ? ` (${codes.join(', ')})` : '';
    throw new DeadEnd(`Not marked ready, because the verdict on the audio is "${verdict}"${why}.`);
  }
  await portal.markReady(callId);
  return recording.etag;
}
