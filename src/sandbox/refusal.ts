import { randomUUID } from 'node:crypto';

interface Detail {
  message: string;
  code?: string;
  context?: Record<string, string[]>;
}

/** A refusal in the shape of HubSpot's errors. */
export class Refusal extends Error {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    message: string,
    members: Record<string, unknown>,
    headers: Record<string, string> = {},
  ) {
    super(message);
    this.status = status;
    this.body = { status: 'error', message, correlationId: randomUUID(), ...members };
    this.headers = headers;
  }
}

export function refused(status: number, category: string, message: string, errors?: Detail[]): Refusal {
  return new Refusal(status, message, { category, ...(errors && { errors }) });
}

/** A property value that HubSpot does not take, in the words that HubSpot uses. */
export function invalidProperty(name: string, code: string, message: string): Refusal {
  return refused(400, 'VALIDATION_ERROR', `Property values were not valid: ${message}`, [
    { message, code, context: { propertyName: [name] } },
  ]);
}

export function notFound(message = 'resource not found'): Refusal {
  return refused(404, 'OBJECT_NOT_FOUND', message);
}

export function missingScopes(scopes: string[]): Refusal {
  const message =
    'This app hasn’t been granted all required scopes to make this call. Read more about required scopes in the documentation.';
  return refused(403, 'MISSING_SCOPES', message, [
    {
      message: 'One or more of the following scopes are required.',
      context: { requiredGranularScopes: scopes },
    },
  ]);
}

/** A 429 has no `category` in its body, against HubSpot's own specification. */
export function limited(
  policyName: 'TEN_SECONDLY_ROLLING' | 'SECONDLY' | 'DAILY',
  windowMs: number,
): Refusal {
  const message = `You have reached your ${policyName.toLowerCase()} limit.`;
  const headers = { 'x-hubspot-ratelimit-interval-milliseconds': String(windowMs) };
  return new Refusal(429, message, { errorType: 'RATE_LIMIT', policyName }, headers);
}

/** The named members of a JSON object; each must be there. */
export function membersOf<const Name extends string>(body: unknown, ...names: Name[]): Record<Name, unknown> {
  const given =
    typeof body === 'object' && body !== null
      ? (body as Record<Name, unknown>)
      : ({} as Record<Name, unknown>);
  const missing = names.find((name) => given[name] === undefined);
  if (missing)
    throw refused(
      400,
      'VALIDATION_ERROR',
      `Invalid input JSON: some required fields were not set: [${missing}]`,
    );
  return given;
}
