import { invalidProperty, refused } from './refusal.ts';

const statuses =
  'BUSY CALLING_CRM_USER CANCELED COMPLETED CONNECTING FAILED IN_PROGRESS NO_ANSWER QUEUED RINGING'.split(
    ' ',
  );

type Rule = { code: string; says: string; holds: (value: string) => boolean };

const integer: Rule = {
  code: 'INVALID_INTEGER',
  says: 'was not a valid number',
  holds: (value) => /^-?\d+$/.test(value),
};
const text: Rule = { code: '', says: '', holds: () => true };

function option(...values: string[]): Rule {
  const says = `was not one of the allowed options: [${values.join(', ')}]`;
  return { code: 'INVALID_OPTION', says, holds: (value) => values.includes(value) };
}

/** The properties of a call that can be written. */
const writable: Record<string, Rule> = {
  hs_timestamp: {
    code: 'INVALID_DATE',
    says: 'was not a valid long or ISO 8601 time',
    holds: (value) => /^\d+$/.test(value) || !Number.isNaN(Date.parse(value)),
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

/** Properties as they are stored, or the refusal that HubSpot would answer. */
export function checkedProperties(
  given: unknown,
  { refuseNonNumericAppId = false }: { refuseNonNumericAppId?: boolean },
  complete: boolean,
): Record<string, string> {
  if (typeof given !== 'object' || given === null)
    throw refused(400, 'VALIDATION_ERROR', 'properties must be an object.');
  if (complete && !('hs_timestamp' in given)) {
    throw invalidProperty('hs_timestamp', 'REQUIRED_FIELD', 'hs_timestamp is required');
  }
  for (const [name, value] of Object.entries(given)) {
    const rule = refuseNonNumericAppId && name === 'hs_call_app_id' ? integer : writable[name];
    if (!rule) throw invalidProperty(name, 'PROPERTY_DOESNT_EXIST', `Property "${name}" does not exist`);
    if (typeof value !== 'string') throw invalidProperty(name, 'INVALID_STRING', `${name} must be a string`);
    if (!rule.holds(value)) throw invalidProperty(name, rule.code, `${value} ${rule.says}`);
  }
  return { ...(given as Record<string, string>) };
}
