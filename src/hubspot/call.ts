import type { CallData } from '../recordings/recording.ts';
import type { Direction } from '../unions.ts';
import { refuse } from './error.ts';

export type CallProperties = Record<string, string>;

/** The value that makes HubSpot ask for the authenticated URL; without it the recording is never fetched. */
export const callSource = 'INTEGRATIONS_PLATFORM';

const externalProperties = ['hs_call_external_id', 'hs_call_external_account_id', 'hs_call_app_id'];

const statuses =
  'BUSY CALLING_CRM_USER CANCELED COMPLETED CONNECTING FAILED IN_PROGRESS NO_ANSWER QUEUED RINGING'.split(
    ' ',
  );
const directions = ['INBOUND', 'OUTBOUND'];

/**
 * The properties under which a call is logged.
 *
 * @throws HubSpotError `INVALID_FIELD`
 */
export function callProperties(recording: {
  accountId: string;
  externalId: string;
  appId: string;
  direction: Direction | null;
  call: CallData;
  /** When the call began, where `call.startedAt` does not say. */
  recordedAt: Date;
  /** Length of the audio: tells a duration in seconds from one in milliseconds. */
  audioSeconds?: number | undefined;
}): CallProperties {
  const { call, audioSeconds } = recording;
  const duration =
    call.durationMs ?? (audioSeconds === undefined ? undefined : Math.round(audioSeconds * 1000));
  // A call is never a hundred times shorter than its recording: such a duration is one in seconds.
  if (duration && audioSeconds && duration < audioSeconds * 10) {
    refuse(
      'call.durationMs',
      `is ${duration}, but the audio lasts ${audioSeconds.toFixed(1)} s: give milliseconds`,
    );
  }
  const startedAt = new Date(call.startedAt ?? recording.recordedAt);
  if (Number.isNaN(startedAt.getTime()))
    refuse('call.startedAt', 'must be an ISO 8601 time or Unix milliseconds');
  const properties = {
    hs_timestamp: String(startedAt.getTime()),
    hs_call_source: callSource,
    hs_call_app_id: recording.appId,
    hs_call_external_id: recording.externalId,
    hs_call_external_account_id: recording.accountId,
    hs_call_direction: recording.direction?.toUpperCase(),
    hs_call_status: call.status ?? 'COMPLETED',
    hs_call_duration: duration?.toString(),
    hs_call_title: call.title,
    hs_call_body: call.body,
    hs_call_from_number: call.from,
    hs_call_to_number: call.to,
    hs_call_disposition: call.disposition,
    hubspot_owner_id: call.ownerId,
  };
  const given = Object.entries(properties).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  return checkProperties(Object.fromEntries(given));
}

/**
 * Refuses what HubSpot is known to refuse, and what makes a recording unreachable.
 *
 * @throws HubSpotError `INVALID_FIELD`
 */
export function checkProperties(properties: CallProperties): CallProperties {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value !== 'string')
      refuse(name, 'must be a string: HubSpot takes every property value as one');
  }
  for (const name of externalProperties) {
    if (!properties[name]) refuse(name, 'is missing or empty: HubSpot could not ask for the recording');
  }
  if (properties.hs_call_source !== callSource) refuse('hs_call_source', `must be ${callSource}`);
  return checkValues(properties);
}

/** The rules that hold for a change of some properties as well. */
export function checkValues(properties: CallProperties): CallProperties {
  const { hs_timestamp: at, hs_call_duration: duration, hs_call_status: status } = properties;
  const { hs_call_direction: direction } = properties;
  // Unix milliseconds passed 10^11 in 1973; what is below is a time in seconds.
  if (
    at !== undefined && /^\d+$/.test(at)
      ? Number(at) < 1e11
      : at !== undefined && Number.isNaN(Date.parse(at))
  ) {
    refuse('hs_timestamp', `is ${at}: give Unix milliseconds or an ISO 8601 time in UTC`);
  }
  if (duration !== undefined && !/^\d{1,10}$/.test(duration)) {
    refuse('hs_call_duration', 'must be a whole number of milliseconds');
  }
  if (status !== undefined && !statuses.includes(status)) {
    refuse('hs_call_status', `must be one of ${statuses.join(', ')}`);
  }
  if (direction !== undefined && !directions.includes(direction)) {
    refuse('hs_call_direction', `must be one of ${directions.join(', ')}`);
  }
  if (status === 'COMPLETED' && Number(duration) > 0 && Number(duration) < 1000) {
    refuse('hs_call_duration', `is ${duration}, less than a second of a completed call: give milliseconds`);
  }
  return properties;
}

/** What HubSpot may refuse, said beforehand. HubSpot's own example has an app id that is not a number. */
export function warningsOf({ hs_call_app_id: appId }: CallProperties): string[] {
  return appId !== undefined && !/^\d+$/.test(appId)
    ? [`hs_call_app_id is "${appId}": HubSpot is reported to refuse app ids that are not numbers.`]
    : [];
}
