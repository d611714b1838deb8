import type { RecordedCall } from '../crm/call.ts';
import { rejectField } from './error.ts';

export type CallProperties = Record<string, string>;

/** HubSpot asks for the authenticated URL only of calls with this source. */
export const callSource = 'INTEGRATIONS_PLATFORM';

/** What HubSpot sends when it asks for a recording. */
export const externalProperties = ['hs_call_external_id', 'hs_call_external_account_id', 'hs_call_app_id'];

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
export function callProperties(recording: RecordedCall, appId: string): CallProperties {
  const { call, audioSeconds } = recording;
  const duration =
    call.durationMs ?? (audioSeconds === undefined ? undefined : Math.round(audioSeconds * 1000));
  // No call is a hundred times shorter than its recording: such a duration is in seconds.
  if (duration && audioSeconds && duration < audioSeconds * 10) {
    rejectField(
      'call.durationMs',
      `is ${duration}, but the audio lasts ${audioSeconds.toFixed(1)} s: give milliseconds`,
    );
  }
  const startedAt = new Date(call.startedAt ?? recording.recordedAt);
  if (Number.isNaN(startedAt.getTime()))
    rejectField('call.startedAt', 'must be an ISO 8601 time or Unix milliseconds');
  const properties = {
    hs_timestamp: String(startedAt.getTime()),
    hs_call_source: callSource,
    hs_call_app_id: appId,
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
 * Rejects what HubSpot is known to reject, and what would make the recording unreachable.
 *
 * @throws HubSpotError `INVALID_FIELD`
 */
export function checkProperties(properties: CallProperties): CallProperties {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value !== 'string')
      rejectField(name, 'must be a string: HubSpot takes every property value as one');
  }
  for (const name of externalProperties) {
    if (!properties[name]) rejectField(name, 'is missing or empty: HubSpot could not ask for the recording');
  }
  if (properties.hs_call_source !== callSource) rejectField('hs_call_source', `must be ${callSource}`);
  return checkValues(properties);
}

/** The rules for single values: they hold for an update of some properties as well. */
export function checkValues(properties: CallProperties): CallProperties {
  const { hs_timestamp: at, hs_call_duration: duration, hs_call_status: status } = properties;
  const { hs_call_direction: direction } = properties;
  // Unix milliseconds passed 10^11 in 1973. A smaller number is a time in seconds.
  if (
    at !== undefined && /^\d+$/.test(at)
      ? Number(at) < 1e11
      : at !== undefined && Number.isNaN(Date.parse(at))
  ) {
    rejectField('hs_timestamp', `is ${at}: give Unix milliseconds or an ISO 8601 time in UTC`);
  }
  if (duration !== undefined && !/^\d{1,10}$/.test(duration)) {
    rejectField('hs_call_duration', 'must be a whole number of milliseconds');
  }
  if (status !== undefined && !statuses.includes(status)) {
    rejectField('hs_call_status', `must be one of ${statuses.join(', ')}`);
  }
  if (direction !== undefined && !directions.includes(direction)) {
    rejectField('hs_call_direction', `must be one of ${directions.join(', ')}`);
  }
  if (status === 'COMPLETED' && Number(duration) > 0 && Number(duration) < 1000) {
    rejectField(
      'hs_call_duration',
      `is ${duration}, less than a second of a completed call: give milliseconds`,
    );
  }
  return properties;
}

/** What HubSpot may reject. HubSpot's own example has an app id that is not a number, so it is only a warning. */
export function warningsOf({ hs_call_app_id: appId }: CallProperties): string[] {
  return appId !== undefined && !/^\d+$/.test(appId)
    ? [`hs_call_app_id is "${appId}": HubSpot is reported to reject app ids that are not numbers.`]
    : [];
}
