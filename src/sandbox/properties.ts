import { invalidProperty, validationError } from './api-error.ts';

const statuses =
  'BUSY CALLING_CRM_USER CANCELED COMPLETED CONNECTING FAILED IN_PROGRESS NO_ANSWER QUEUED RINGING'.split(
    ' ',
  );

interface Rule {
  /** HubSpot's code and message for a value that is not valid. */
  code: string;
  message: string;
  isValid(value: string): boolean;
}

export interface PropertyOptions {
  /** Rejects an `hs_call_app_id` that is not a number, as HubSpot is reported to do. HubSpot's example has one. */
  numericAppId?: boolean;
}

const integer: Rule = {
  code: 'INVALID_INTEGER',
  message: 'was not a valid number',
  isValid: (value) => /^-?\d+$/.test(value),
};
const text: Rule = { code: '', message: '', isValid: () => true };

function option(...values: string[]): Rule {
  const message = `was not one of the allowed options: [${values.join(', ')}]`;
  return { code: 'INVALID_OPTION', message, isValid: (value) => values.includes(value) };
}

/** The properties of a call that a client may write. */
const writable: Record<string, Rule> = {
  hs_timestamp: {
    code: 'INVALID_DATE',
    message: 'was not a valid long or ISO 8601 time',
    isValid: (value) => /^\d+$/.test(value) || !Number.isNaN(Date.parse(value)),
  },
  hs_call_duration: integer,
  hubspot_owner_id: integer,
  hs_call_status: option(...statuses),
  hs_call_direction: option('INBOUND', 'OUTBOUND'),
  hs_call_source: text,
  hs_call_app_id: text,
  hs_call_external_id: text,
  hs_call_external_account_id: text,
  hs_call_title: text,
  hs_call_body: text,
  hs_call_from_number: text,
  hs_call_to_number: text,
  hs_call_disposition: text,
  hs_call_recording_url: text,
  hs_call_has_voicemail: option('true', 'false'),
  hs_call_callee_object_id: integer,
  hs_call_callee_object_type: text,
  hs_activity_type: text,
  hs_attachment_ids: text,
};

/**
 * Properties as they are stored.
 *
 * @param isNew whether the call is created, so that required properties must be there
 * @throws ApiError 400
 */
export function validProperties(
  given: unknown,
  { numericAppId = false }: PropertyOptions,
  isNew: boolean,
): Record<string, string> {
  if (typeof given !== 'object' || given === null) throw validationError('properties must be an object.');
  if (isNew && !('hs_timestamp' in given)) {
    throw invalidProperty('hs_timestamp', 'REQUIRED_FIELD', 'hs_timestamp is required');
  }
  for (const [name, value] of Object.entries(given)) {
    const rule = numericAppId && name === 'hs_call_app_id' ? integer : writable[name];
    if (!rule) throw invalidProperty(name, 'PROPERTY_DOESNT_EXIST', `Property "${name}" does not exist`);
    if (typeof value !== 'string') throw invalidProperty(name, 'INVALID_STRING', `${name} must be a string`);
    if (!rule.isValid(value)) throw invalidProperty(name, rule.code, `${value} ${rule.message}`);
  }
  return { ...(given as Record<string, string>) };
}
