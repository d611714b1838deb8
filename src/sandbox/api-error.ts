import { randomUUID } from 'node:crypto';

interface Detail {
  message: string;
  code?: string;
  context?: Record<string, string[]>;
}

/** An error response in the shape of HubSpot's. */
export class ApiError extends Error {
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

export function apiError(status: number, category: string, message: string, errors?: Detail[]): ApiError {
  return new ApiError(status, message, { category, ...(errors && { errors }) });
}

export function validationError(message: string, errors?: Detail[]): ApiError {
  return apiError(400, 'VALIDATION_ERROR', message, errors);
}

/** A property value that HubSpot rejects, with HubSpot's message. */
export function invalidProperty(name: string, code: string, message: string): ApiError {
  return validationError(`Property values were not valid: ${message}`, [
    { message, code, context: { propertyName: [name] } },
  ]);
}

export function notFound(message = 'resource not found'): ApiError {
  return apiError(404, 'OBJECT_NOT_FOUND', message);
}

export function missingScopes(scopes: string[]): ApiError {
  const message =
    'This app hasn’t been granted all required scopes to make this call. Read more about required scopes in the documentation.';
  const detail = 'One or more of the following scopes are required.';
  return apiError(403, 'MISSING_SCOPES', message, [
    { message: detail, context: { requiredGranularScopes: scopes } },
  ]);
}

/** HubSpot's 429 has no `category` in its body, although its specification requires one. */
export function rateLimited(policyName: 'TEN_SECONDLY_ROLLING' | 'SECONDLY', windowMs: number): ApiError {
  const message = `You have reached your ${policyName.toLowerCase()} limit.`;
  const headers = { 'x-hubspot-ratelimit-interval-milliseconds': String(windowMs) };
  return new ApiError(429, message, { errorType: 'RATE_LIMIT', policyName }, headers);
}

export function internalError(message = 'internal error'): ApiError {
  return apiError(500, 'INTERNAL_ERROR', message);
}
