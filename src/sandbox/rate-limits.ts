import { rateLimited } from './api-error.ts';

/** Requests in `windowMs` and searches in a second, of each portal. */
export interface Limits {
  requests?: number | undefined;
  windowMs?: number | undefined;
  searches?: number | undefined;
}

/** HubSpot's rate limits, counted in a sliding window for each portal. */
export class RateLimits {
  readonly windowMs: number;
  readonly #requests: number;
  readonly #searches: number;
  readonly #windows = new Map<string, number[]>();

  constructor({ requests = 110, windowMs = 10_000, searches = 5 }: Limits = {}) {
    this.#requests = requests;
    this.windowMs = windowMs;
    this.#searches = searches;
  }

  /** @throws ApiError 429 */
  countRequest(portalId: number): void {
    this.#count(portalId, 'TEN_SECONDLY_ROLLING', this.#requests, this.windowMs);
  }

  /** @throws ApiError 429 */
  countSearch(portalId: number): void {
    this.#count(portalId, 'SECONDLY', this.#searches, 1_000);
  }

  #count(
    portalId: number,
    policy: 'TEN_SECONDLY_ROLLING' | 'SECONDLY',
    limit: number,
    windowMs: number,
  ): void {
    const now = performance.now();
    const key = `${portalId} ${policy}`;
    const window = (this.#windows.get(key) ?? []).filter((at) => at > now - windowMs);
    this.#windows.set(key, window);
    if (window.length >= limit) throw rateLimited(policy, windowMs);
    window.push(now);
  }
}
