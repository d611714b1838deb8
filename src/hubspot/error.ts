import { CrmError } from '../crm/crm.ts';

/** Members of HubSpot's error responses. Any may be missing; a 429 has no `category`. */
interface ErrorBody {
  /** `error`, or the category in OAuth v1. */
  status?: string;
  message?: string;
  category?: string;
  errorType?: string;
  /** OAuth (RFC 6749 §5.2). */
  error?: string;
  error_description?: string;
  policyName?: string;
  errors?: { message?: string; code?: string; context?: Record<string, string[]> }[];
  context?: Record<string, string[]>;
}

/** Our categories for a request that got no response. */
const withoutResponse = ['TIMEOUT', 'NETWORK'];

interface Facts {
  status?: number;
  category: string;
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** Every failure at HubSpot, and every field that HubSpot would reject. It holds no token; `cause` is private. */
export class HubSpotError extends CrmError {
  /** HTTP status; 0 if there was no response or nothing was sent. */
  readonly status: number;
  /**
   * HubSpot's `category`, its 429 `policyName`, or one of ours: TIMEOUT and NETWORK (no response), INVALID_FIELD
   * (nothing was sent), NOT_CONNECTED, INVALID_REPLY, WRONG_CALL, REDIRECTED.
   */
  readonly category: string;

  constructor(message: string, { status = 0, category, retryAfterMs, cause }: Facts) {
    // A 4xx had no effect, except 408. No response, a redirect and 5xx leave the outcome open.
    const isRedirect = status >= 300 && status < 400;
    const outcomeUnknown =
      isRedirect || status === 408 || status >= 500 || withoutResponse.includes(category);
    // 423: locked. 429: rate limit. 477: the portal is being moved.
    const retriable = outcomeUnknown || [423, 429, 477].includes(status);
    super(message, { retriable, outcomeUnknown, retryAfterMs, cause });
    this.name = 'HubSpotError';
    this.status = status;
    this.category = category;
  }
}

/** Throws for a value that HubSpot is known to reject, before anything is sent. The message names the field. */
export function rejectField(field: string, rule: string): never {
  throw new HubSpotError(`${field} ${rule}.`, { category: 'INVALID_FIELD' });
}

/** The error of a response with status 400 or above. `doing` completes "HubSpot rejected the request to …". */
export function errorOf(doing: string, status: number, headers: Headers, text: string): HubSpotError {
  const body = parse(text);
  const v1Category = body.status === 'error' ? undefined : body.status;
  const category =
    body.policyName ?? body.category ?? body.errorType ?? v1Category ?? body.error ?? `HTTP_${status}`;
  return new HubSpotError(sentence(doing, status, category, body), {
    status,
    category,
    retryAfterMs: retryAfterMsOf(status, headers, body),
  });
}

/** The error of a redirect. The message names the host, and not the rest of the target, which may hold a secret. */
export function redirectError(doing: string, { status, headers, url }: Response): HubSpotError {
  const target = URL.parse(headers.get('location') ?? '', url)?.origin ?? 'nowhere';
  return new HubSpotError(
    `HubSpot redirected the request to ${doing} to ${target} (${status}). Nothing was sent there: check PLAYHEAD_HUBSPOT_API_BASE, and any proxy on the way.`,
    { status, category: 'REDIRECTED' },
  );
}

function parse(text: string): ErrorBody {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : {};
  } catch {
    // A gateway in front of HubSpot sends HTML; the status is enough.
    return {};
  }
}

function sentence(doing: string, status: number, category: string, body: ErrorBody): string {
  if (status === 401) {
    return `HubSpot rejected the access token of the request to ${doing} (401 ${category}): connect the account again, or set a new PLAYHEAD_HUBSPOT_ACCESS_TOKEN.`;
  }
  if (status === 403) {
    const scopes = scopesOf(body);
    const missing = scopes.length > 0 ? scopes.join(' or ') : 'a scope';
    return `HubSpot denied the request to ${doing} (403): the app lacks ${missing}; add it to the app and connect the account again.`;
  }
  const reasons =
    (body.errors ?? []).map(detail).filter(Boolean).join('; ') ||
    body.message ||
    body.error_description ||
    'no reason given';
  const reason = String(reasons).replace(/\s+/g, ' ').slice(0, 500).replace(/\.$/, '');
  return `HubSpot rejected the request to ${doing} (${status} ${category}): ${reason}.`;
}

function detail(error: NonNullable<ErrorBody['errors']>[number]): string {
  const field = error?.context?.propertyName?.[0];
  return [field, error?.code, error?.message].filter(Boolean).join(' ');
}

function scopesOf(body: ErrorBody): string[] {
  const contexts = [body.context, ...(body.errors ?? []).map((error) => error?.context)];
  return contexts.flatMap((context) => context?.requiredGranularScopes ?? context?.requiredScopes ?? []);
}

/**
 * How long to wait, in ms. HubSpot may send Retry-After (RFC 9110 §10.2.3), but does not document it for a 429.
 * Without it the status decides, and for a 429 the policy named in the body.
 */
function retryAfterMsOf(status: number, headers: Headers, body: ErrorBody): number | undefined {
  const header = headers.get('retry-after');
  if (header !== null) {
    const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
    if (ms >= 0) return Math.min(ms, 24 * 3_600_000);
  }
  if (status === 423) return 2_000;
  if (status === 477) return 3_600_000;
  if (status !== 429) return undefined;
  if (body.policyName === 'DAILY') return 3_600_000;
  if (body.policyName === 'SECONDLY') return 1_000;
  return Number(headers.get('x-hubspot-ratelimit-interval-milliseconds')) || 10_000;
}
