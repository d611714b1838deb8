/**
 * Lets through at most `limit` requests in any window of `windowMs`, sliding, first come first served.
 *
 * HubSpot counts a request somewhere between its departure and its answer. A place is therefore given back
 * one window after the answer: whatever the network's delay, HubSpot never counts more than the limit.
 */
export class Limiter {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #waiting: (() => void)[] = [];
  /** When each request of the last window was answered, oldest first. */
  readonly #answered: number[] = [];
  #underWay = 0;
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
      this.#underWay--;
      this.#answered.push(performance.now());
      this.#admit();
    }
  }

  /** Holds back everything for `ms`, but no longer than one window: after a 429 the limit is a window away. */
  pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, performance.now() + Math.min(ms, this.#windowMs));
    this.#admit();
  }

  #admit(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    while (this.#answered.length > 0 && this.#answered[0]! + this.#windowMs <= now) this.#answered.shift();
    while (this.#waiting.length > 0 && now >= this.#pausedUntil && this.#used < this.#limit) {
      this.#underWay++;
      this.#waiting.shift()!();
    }
    if (this.#waiting.length === 0) return;
    const nextPlace = this.#used < this.#limit ? now : (this.#answered[0] ?? now) + this.#windowMs;
    const wait = Math.max(nextPlace, this.#pausedUntil) - now;
    this.#timer = setTimeout(() => this.#admit(), Math.ceil(wait));
  }

  get #used(): number {
    return this.#underWay + this.#answered.length;
  }
}

/** HubSpot's limits for one account: of an OAuth app's requests, and of searches. */
export interface AccountLimits {
  requests: Limiter;
  searches: Limiter;
}

/** 110 requests in 10 seconds, 5 searches in one (HubSpot, API usage guidelines). */
export function accountLimits(): AccountLimits {
  return { requests: new Limiter(110, 10_000), searches: new Limiter(5, 1_000) };
}
