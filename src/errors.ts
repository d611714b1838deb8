interface Entry {
  status: number;
  sentence: string;
  /** Default of Retry-After, in seconds. */
  retryAfter?: number;
}

/**
 * Every error that the gateway reports: a stable code, its HTTP status (RFC 9110 §15) and one public sentence.
 * docs/problems.md has a section for each.
 */
export const problems = {
  invalid_request: { status: 400, sentence: 'The request is not valid for this route.' },
  unauthorized: {
    status: 401,
    sentence: 'A valid API key is required. Send it as "Authorization: Bearer KEY".',
  },
  invalid_token: {
    status: 401,
    sentence: 'This URL is not valid: it was altered, has expired or was revoked.',
  },
  invalid_signature: { status: 401, sentence: 'The request has no valid HubSpot signature.' },
  forbidden: { status: 403, sentence: 'This API key does not allow the request.' },
  not_found: { status: 404, sentence: 'Nothing was found under this name.' },
  conflict: {
    status: 409,
    sentence: 'This recording exists with other audio. Send "replace": true to replace it.',
  },
  held: { status: 409, sentence: 'The recording is under a legal hold.' },
  version_changed: { status: 502, sentence: 'The audio of this recording has changed since it was checked.' },
  audio_damaged: {
    status: 502,
    sentence: 'The audio of this recording is damaged. Ingest the recording again.',
  },
  too_large: { status: 413, sentence: 'The request is larger than the limit.' },
  unsupported_media_type: { status: 415, sentence: 'Send multipart/form-data or application/json.' },
  refused_audio: { status: 422, sentence: 'The audio was rejected: HubSpot could not transcribe it.' },
  source_refused: { status: 422, sentence: 'This gateway is not allowed to read the source.' },
  rate_limited: {
    status: 429,
    sentence: 'Too many requests. Wait for the number of seconds in Retry-After.',
  },
  headers_too_large: { status: 431, sentence: 'The request headers are larger than the limit.' },
  internal: { status: 500, sentence: 'The gateway failed. Its log has the cause under the request id.' },
  origin_failed: {
    status: 502,
    sentence: 'The storage of this recording sent a wrong or incomplete response.',
  },
  origin_unavailable: {
    status: 503,
    sentence: 'The storage of this recording is out of reach. Try again.',
    retryAfter: 2,
  },
  database_unavailable: {
    status: 503,
    sentence: 'The database is out of reach. Try again.',
    retryAfter: 2,
  },
  busy: {
    status: 503,
    sentence: 'The gateway is busy. Try again after the number of seconds in Retry-After.',
  },
  storage_full: { status: 507, sentence: 'The store has no room for this recording.' },
} as const satisfies Record<string, Entry>;

export type ProblemCode = keyof typeof problems;

/**
 * An error with a code from `problems`. `message` is public: it names the field, file or setting at fault.
 * `cause` is private: it goes to the log and never into a response.
 */
export class Problem extends Error {
  readonly code: ProblemCode;
  readonly status: number;
  /** Members added to the RFC 9457 object, such as the report on rejected audio. */
  readonly extra: Readonly<Record<string, unknown>>;
  /** Retry-After in seconds. Undefined if waiting does not help. */
  readonly retryAfter: number | undefined;

  constructor(
    code: ProblemCode,
    message: string = problems[code].sentence,
    options: { cause?: unknown; extra?: Record<string, unknown>; retryAfter?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'Problem';
    this.code = code;
    this.status = problems[code].status;
    this.extra = options.extra ?? {};
    this.retryAfter = options.retryAfter ?? (problems[code] as Entry).retryAfter;
  }
}

export function isProblem(error: unknown, code?: ProblemCode): error is Problem {
  return error instanceof Problem && (code === undefined || error.code === code);
}

/**
 * Any error as a Problem. An error with status 503 or 4xx, such as Fastify throws before a handler runs, gets the
 * code for that status. Any other error becomes `internal`. The original error is the private cause.
 */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  const { statusCode, message } = (error ?? {}) as { statusCode?: number; message?: string };
  const cause = { cause: error };
  if (statusCode === 404) return new Problem('not_found', undefined, cause);
  if (statusCode === 413) return new Problem('too_large', undefined, cause);
  if (statusCode === 415) return new Problem('unsupported_media_type', undefined, cause);
  if (statusCode === 503) return new Problem('busy', undefined, { ...cause, retryAfter: 1 });
  if (statusCode && statusCode < 500)
    return new Problem('invalid_request', `The request is not valid: ${message}.`, cause);
  return new Problem('internal', undefined, cause);
}

/** The body of an error response: RFC 9457, `application/problem+json`. */
export function problemDetails(problem: Problem): Record<string, unknown> {
  const { code, status, message, extra } = problem;
  return { type: 'about:blank', title: problems[code].sentence, status, code, detail: message, ...extra };
}
