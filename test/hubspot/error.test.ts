import t from 'tap';
import { errorOf } from '../../src/hubspot/error.ts';

const granular = [{ message: 'One or more …', context: { requiredGranularScopes: ['a.read', 'a.write'] } }];
const rateLimit = { status: 'error', errorType: 'RATE_LIMIT', message: 'You have reached your limit.' };

interface Case {
  outcome: string;
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
  error: object;
  says?: RegExp;
}

/** HubSpot's error responses, from its documentation and from responses that others have published. */
const cases: Case[] = [
  {
    outcome: 'a validation error names the property',
    status: 400,
    body: {
      message: 'Property values were not valid',
      category: 'VALIDATION_ERROR',
      errors: [
        {
          message: 'x was not a valid number',
          code: 'INVALID_INTEGER',
          context: { propertyName: ['hs_call_app_id'] },
        },
      ],
    },
    error: { category: 'VALIDATION_ERROR', retriable: false, outcomeUnknown: false },
    says: /^HubSpot rejected the request to log the call \(400 VALIDATION_ERROR\): hs_call_app_id INVALID_INTEGER x was not a valid number\.$/,
  },
  {
    outcome: 'a 401 asks the operator to connect again',
    status: 401,
    body: { category: 'EXPIRED_AUTHENTICATION' },
    error: { retriable: false },
    says: /connect the account again/,
  },
  {
    outcome: 'a 403 names the scopes',
    status: 403,
    body: { category: 'MISSING_SCOPES', errors: granular },
    error: { retriable: false },
    says: /lacks a\.read or a\.write/,
  },
  {
    outcome: 'a 403 without scopes',
    status: 403,
    error: { category: 'HTTP_403', retriable: false },
    says: /lacks a scope/,
  },
  {
    outcome: 'a rejected refresh token, in v1',
    status: 400,
    body: { status: 'BAD_REFRESH_TOKEN', message: 'missing' },
    error: { category: 'BAD_REFRESH_TOKEN', retriable: false },
  },
  {
    outcome: 'a rejected refresh token, as RFC 6749 has it',
    status: 400,
    body: { error: 'invalid_grant', error_description: 'The token is gone.' },
    error: { category: 'invalid_grant', retriable: false },
    says: /\(400 invalid_grant\): The token is gone\.$/,
  },
  {
    outcome: 'a 401 names the setting that holds the token',
    status: 401,
    error: { retriable: false },
    says: /PLAYHEAD_HUBSPOT_ACCESS_TOKEN/,
  },
  {
    outcome: 'a timeout of a server or proxy: the effect is unknown',
    status: 408,
    error: { retriable: true, outcomeUnknown: true },
  },
  {
    outcome: 'a locked object',
    status: 423,
    error: { retriable: true, outcomeUnknown: false, retryAfterMs: 2_000 },
  },
  {
    outcome: 'the ten-second limit',
    status: 429,
    body: { ...rateLimit, policyName: 'TEN_SECONDLY_ROLLING' },
    error: { category: 'TEN_SECONDLY_ROLLING', retriable: true, retryAfterMs: 10_000 },
  },
  {
    outcome: 'a limit whose window is in a header',
    status: 429,
    body: rateLimit,
    headers: { 'X-HubSpot-RateLimit-Interval-Milliseconds': '5000' },
    error: { category: 'RATE_LIMIT', retryAfterMs: 5_000 },
  },
  {
    outcome: 'the search limit',
    status: 429,
    body: { ...rateLimit, policyName: 'SECONDLY' },
    error: { retryAfterMs: 1_000 },
  },
  {
    outcome: 'the daily limit',
    status: 429,
    body: { ...rateLimit, policyName: 'DAILY' },
    error: { retriable: true, retryAfterMs: 3_600_000 },
  },
  {
    outcome: 'Retry-After in seconds counts before the policy',
    status: 429,
    body: { ...rateLimit, policyName: 'DAILY' },
    headers: { 'retry-after': '7' },
    error: { retryAfterMs: 7_000 },
  },
  {
    outcome: 'Retry-After counts for a day at most',
    status: 429,
    headers: { 'retry-after': '999999999' },
    error: { retryAfterMs: 86_400_000 },
  },
  {
    outcome: 'an invalid Retry-After',
    status: 503,
    headers: { 'retry-after': 'soon' },
    error: { retriable: true, retryAfterMs: undefined },
  },
  {
    outcome: 'an account being moved',
    status: 477,
    headers: { 'retry-after': '60' },
    error: { retriable: true, outcomeUnknown: false, retryAfterMs: 60_000 },
  },
  ...[500, 502, 503, 504, 521, 523, 524].map((status) => ({
    outcome: `${status}: the effect is unknown`,
    status,
    error: { retriable: true, outcomeUnknown: true },
  })),
  {
    outcome: 'JSON that is not an object',
    status: 400,
    body: 'no',
    error: { category: 'HTTP_400', retriable: false },
    says: /no reason given/,
  },
  {
    outcome: 'members of unexpected kinds',
    status: 400,
    body: { message: 7, errors: [null, { context: { propertyName: 'a' } }] },
    error: { status: 400 },
  },
];

for (const { outcome, status, body, headers, error, says } of cases) {
  t.test(`${status}: ${outcome}`, async (t) => {
    const text = body === undefined ? '<html>' : JSON.stringify(body);
    const seen = errorOf('log the call', status, new Headers(headers), text);
    t.match({ ...seen, retriable: seen.retriable, outcomeUnknown: seen.outcomeUnknown }, error);
    if (says) t.match(seen.message, says);
  });
}

t.test('Retry-After as a date', async (t) => {
  const headers = new Headers({ 'retry-after': new Date(Date.now() + 30_000).toUTCString() });
  const { retryAfterMs } = errorOf('log the call', 503, headers, '');
  t.ok(retryAfterMs! > 25_000 && retryAfterMs! <= 30_000);
});
