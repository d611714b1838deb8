import type { RecordedCall } from '../crm/call.ts';
import { rejectField } from './error.ts';

export type CallProperties = Record<string, string>;

/** HubSpot requests the authenticated URL of a recording only for calls with this source. */
export const callSource = 'INTEGRATIONS_PLATFORM';

/** HubSpot sends the values of these properties when it requests a recording. */
export const externalProperties = ['hs_call_external_id', 'hs_call_external_account_id', 'hs_call_app_id'];

const statuses = [
  'BUSY',
  'CALLING_CRM_USER',
  'CANCELED',
  'COMPLETED',
  'CONNECTING',
  'FAILED',
  'IN_PROGRESS',
  'NO_ANSWER',
  'QUEUED',
  'RINGING',
];
const directions = ['INBOUND', 'OUTBOUND'];

/**
 * The properties under which a call is logged.
 *
 * @throws HubSpotError `INVALID_FIELD`
 */
export function callProperties(recorded: RecordedCall, appId: string): CallProperties {
  const { call, audioSeconds } = recorded;
  const durationMs =
    call.durationMs ?? (audioSeconds === undefined ? undefined : Math.round(audioSeconds * 1000));
  // No call is a hundred times shorter than its recording: such a duration is in seconds.
  if (durationMs && audioSeconds && durationMs < audioSeconds * 10) {
    rejectField(
      'call.durationMs',
      `is ${durationMs}, but the audio lasts ${audioSeconds.toFixed(1)} s: give milliseconds`,
    );
  }
  const startedAt = new Date(call.startedAt ?? recorded.recordedAt);
  if (Number.isNaN(startedAt.getTime()))
    rejectField('call.startedAt', 'must be an ISO 8601 time or Unix milliseconds');
  const properties = {
    hs_timestamp: String(startedAt.getTime()),
    hs_call_source: callSource,
    hs_call_app_id: appId,
    hs_call_external_id: recorded.externalId,
    hs_call_external_account_id: recorded.accountId,
    hs_call_direction: recorded.direction?.toUpperCase(),
    hs_call_status: call.status ?? 'COMPLETED',
    hs_call_duration: durationMs?.toString(),
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
 * Rejects what HubSpot is known to reject, and what would make the recording unreachable.
 *
 * @throws HubSpotError `INVALID_FIELD`
 */
export function checkProperties(properties: CallProperties): CallProperties {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value !== 'string')
      rejectField(name, 'must be a string, like every property value at HubSpot');
  }
  for (const name of externalProperties) {
    if (!properties[name]) rejectField(name, 'is missing or empty: HubSpot could not request the recording');
  }
  if (properties.hs_call_source !== callSource) rejectField('hs_call_source', `must be ${callSource}`);
  return checkValues(properties);
}

/** The rules for single values. They also apply to an update of some properties. */
export function checkValues(properties: CallProperties): CallProperties {
  const { hs_timestamp: timestamp, hs_call_duration: durationMs } = properties;
  const { hs_call_status: status, hs_call_direction: direction } = properties;
  if (timestamp !== undefined && !isTimestamp(timestamp)) {
    rejectField('hs_timestamp', `is ${timestamp}: give Unix milliseconds or an ISO 8601 time in UTC`);
  }
  if (durationMs !== undefined && !/^\d{1,10}$/.test(durationMs)) {
    rejectField('hs_call_duration', 'must be a whole number of milliseconds');
  }
  if (status !== undefined && !statuses.includes(status)) {
    rejectField('hs_call_status', `must be one of ${statuses.join(', ')}`);
  }
  if (direction !== undefined && !directions.includes(direction)) {
    rejectField('hs_call_direction', `must be one of ${directions.join(', ')}`);
  }
  if (status === 'COMPLETED' && Number(durationMs) > 0 && Number(durationMs) < 1000) {
    rejectField(
      'hs_call_duration',
      `is ${durationMs}, which is less than a second for a completed call: give milliseconds`,
    );
  }
  return properties;
}

function isTimestamp(text: string): boolean {
  // Unix milliseconds passed 10^11 in 1973. A smaller number is a time in seconds.
  return /^\d+$/.test(text) ? Number(text) >= 1e11 : !Number.isNaN(Date.parse(text));
}

/**
 * What HubSpot may reject, in one sentence each. An app id that is not a number is not an error, because HubSpot's
 * own example has one.
 */
export function warningsOf({ hs_call_app_id: appId }: CallProperties): string[] {
  return appId !== undefined && !/^\d+$/.test(appId)
    ? [`hs_call_app_id is "${appId}": HubSpot is reported to reject app ids that are not numbers.`]
    : [];
}
