/**
 * A sliding-window rate limit: at most `limit` requests in any `windowMs`, first come first served.
 *
 * HubSpot counts a request somewhere between its departure and its response. A request therefore counts here until
 * one window after its response: whatever the network's delay, HubSpot never counts more than the limit.
 */
export class Limiter {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #waiting: (() => void)[] = [];
  /** When each response of the last window arrived, by `performance.now()`, oldest first. */
  readonly #respondedAt: number[] = [];
  #inFlight = 0;
  #pausedUntil = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limit: number, windowMs: number) {
    this.#limit = limit;
    this.#windowMs = windowMs;
  }

  /** Runs `request` as soon as the limit allows. */
  async run<T>(request: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#admit();
    });
    try {
      return await request();
    } finally {
      this.#inFlight--;
      this.#respondedAt.push(performance.now());
      this.#admit();
    }
  }

  /** Sends nothing for `ms`, but at most for one window: the limit cannot last longer. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + Math.min(ms, this.#windowMs));
    this.#admit();
  }

  #admit(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    while (this.#respondedAt.length > 0 && this.#respondedAt[0]! + this.#windowMs <= now)
      this.#respondedAt.shift();
    while (this.#waiting.length > 0 && now >= this.#pausedUntil && this.#used < this.#limit) {
      this.#inFlight++;
      this.#waiting.shift()!();
    }
    if (this.#waiting.length === 0) return;
    const nextFreeAt = this.#used < this.#limit ? now : (this.#respondedAt[0] ?? now) + this.#windowMs;
    const waitMs = Math.max(nextFreeAt, this.#pausedUntil) - now;
    this.#timer = setTimeout(() => this.#admit(), Math.ceil(waitMs));
  }

  get #used(): number {
    return this.#inFlight + this.#respondedAt.length;
  }
}

/** HubSpot's rate limits for one portal: all requests of an OAuth app, and searches. */
export interface PortalLimits {
  requests: Limiter;
  searches: Limiter;
}

/** HubSpot's windows (API usage guidelines): 110 requests in 10 seconds, 5 searches in one second. */
export const requestWindowMs = 10_000;
const searchWindowMs = 1_000;

export function portalLimits(): PortalLimits {
  return { requests: new Limiter(110, requestWindowMs), searches: new Limiter(5, searchWindowMs) };
}
