import type { LRUCache } from 'lru-cache';
import { type CallProperties, callProperties } from '../hubspot/call.ts';
import type { HubSpotClient } from '../hubspot/client.ts';
import { HubSpotError } from '../hubspot/error.ts';
import type { Recording } from '../recordings/catalog.ts';
import type { TakenJob } from './outbox.ts';
import type { Publications, Step } from './publications.ts';

/** One step, and all that it takes to do it. */
export interface Work {
  job: TakenJob;
  step: Step;
  recording: Recording;
  /** HubSpot's id of the call; empty until it is logged. */
  callId: string;
  client: HubSpotClient;
  publications: Publications;
  /** How long after an attempt of unknown outcome a search that finds nothing is believed. */
  settleMs: number;
  /** By job: since when this process has looked for a call of unknown outcome, by `performance.now()`. */
  doubts: LRUCache<string, number>;
}

/** No attempt can help before somebody does something; the message says what. */
export class DeadEnd extends Error {}

/** Too early to tell: to be looked at again after `ms`. */
export class NotYet extends Error {
  readonly ms: number;
  constructor(message: string, ms: number) {
    super(message);
    this.ms = ms;
  }
}

/**
 * Does one step and stores how it ended.
 *
 * @throws HubSpotError, DeadEnd, NotYet, LeaseLost
 */
export function perform(work: Work): Promise<void> {
  switch (work.step.kind) {
    case 'log':
      return logCall(work);
    case 'associate':
      return attempt(work, () => associate(work));
    case 'ready':
      return attempt(work, () => markReady(work));
  }
}

/** @throws HubSpotError `INVALID_FIELD` for call data that HubSpot would refuse */
export function propertiesOf(recording: Recording, appId: string): CallProperties {
  return callProperties({
    ...recording,
    appId,
    call: recording.call ?? {},
    recordedAt: recording.createdAt,
    audioSeconds: recording.report.audio.durationSeconds,
  });
}

async function attempt(work: Work, action: () => Promise<string | null>): Promise<void> {
  await work.publications.begin(work.job, work.step);
  await finish(work, action);
}

async function finish(
  { job, step, publications, doubts }: Work,
  action: () => Promise<string | null>,
): Promise<void> {
  let result: string | null;
  try {
    result = await action();
  } catch (error) {
    const known = error instanceof DeadEnd || (error instanceof HubSpotError && !error.outcomeUnknown);
    // A new doubt is looked into for as long as the first.
    if (!known) doubts.delete(job.id);
    await publications.failed(job, step, (error as Error).message, !known);
    throw error;
  }
  doubts.delete(job.id);
  await publications.end(job, step, result);
}

/**
 * Logs the call once. After an attempt of unknown outcome (no answer, a 5xx, a process that was killed)
 * the call is looked for, until HubSpot's search index must have heard of it; only then is it logged again.
 *
 * How long it has been looked for is counted by the clock of this process that never jumps: neither a clock
 * that is put forward nor one of another machine makes an empty search believed too early. The step begins
 * only when the limit has let its request through: by then the lease may be lost, and with it the right.
 */
async function logCall(work: Work): Promise<void> {
  const { job, step, recording, client, publications, settleMs, doubts } = work;
  const named = recording.call?.id;
  if (named !== undefined) return attempt(work, () => adopt(work, named));

  if (step.state === 'running') {
    const since = doubts.get(job.id) ?? performance.now();
    doubts.set(job.id, since);
    const found = await client.findCallByExternalId(recording.externalId, recording.accountId);
    if (found) {
      doubts.delete(job.id);
      return publications.end(job, step, found.id);
    }
    const unsettled = since + settleMs - performance.now();
    if (unsettled > 0) {
      const message = 'It is not known yet whether HubSpot logged the call; its search is asked again.';
      throw new NotYet(message, Math.min(unsettled, settleMs / 8));
    }
  }
  const properties = propertiesOf(recording, client.appId);
  await finish(work, () => client.createCall(properties, () => publications.begin(job, step)));
}

/** Gives a call that HubSpot has already what HubSpot needs to ask for the recording. */
async function adopt({ client, recording }: Work, callId: string): Promise<string> {
  const all = propertiesOf(recording, client.appId);
  const needed = ['hs_call_source', 'hs_call_app_id', 'hs_call_external_id', 'hs_call_external_account_id'];
  const { properties } = await client.getCall(callId, needed).catch((error: unknown) => {
    throw isGone(error) ? new DeadEnd(`HubSpot has no call ${callId}, which "call.id" names.`) : error;
  });
  for (const name of ['hs_call_external_id', 'hs_call_external_account_id']) {
    const value = properties[name];
    if (value && value !== all[name]) {
      throw new DeadEnd(`Call ${callId} at HubSpot belongs to another recording: its ${name} is "${value}".`);
    }
  }
  const missing = needed.filter((name) => properties[name] !== all[name]);
  if (missing.length > 0) {
    await client.updateCall(callId, Object.fromEntries(missing.map((name) => [name, all[name]!])));
  }
  return callId;
}

async function associate(work: Work): Promise<null> {
  const { client, callId } = work;
  const target = work.step.target!;
  await client.associate(callId, target).catch(async (error: unknown) => {
    if (!isGone(error)) throw error;
    await mustExist(work);
    throw new DeadEnd(`HubSpot has no ${target.objectType} ${target.objectId} to associate the call with.`);
  });
  return null;
}

/** Only what HubSpot can transcribe is marked: looked at in this very moment, not when the step was planned. */
async function markReady(work: Work): Promise<string> {
  const { client, callId, recording } = work;
  if (recording.verdict !== 'pass' || recording.key === null) {
    const { verdict, codes } = recording.report;
    const why = codes.length > 0 ? ` (${codes.join(', ')})` : '';
    throw new DeadEnd(`Not marked ready, because the verdict on the audio is "${verdict}"${why}.`);
  }
  await client.markReady(callId).catch(async (error: unknown) => {
    if (isGone(error)) await mustExist(work);
    throw error;
  });
  return recording.etag;
}

/** Tells a deleted call from something else that HubSpot does not find. */
async function mustExist({ client, callId }: Work): Promise<void> {
  await client.getCall(callId, ['hs_call_source']).catch((error: unknown) => {
    throw isGone(error)
      ? new DeadEnd(
          `HubSpot does not have call ${callId} any more: it was deleted, or its account is connected to another HubSpot account now. It is not logged again.`,
        )
      : error;
  });
}

function isGone(error: unknown): boolean {
  return error instanceof HubSpotError && error.status === 404;
}
