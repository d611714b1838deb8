const kinds = ['latency', 'limit', 'error', 'reset', 'silence'] as const;

/** A fault that the sandbox injects into requests to its API. */
export interface Fault {
  /**
   * `latency` delays the request by `ms`. `limit` responds with 429, `error` with 500. `reset` closes the
   * connection. `silence` never responds.
   */
  kind: (typeof kinds)[number];
  /** Whether the request fails before or after it took effect. `limit` and `latency` are always before. */
  when?: 'before' | 'after';
  /** Limits the fault to requests whose `METHOD path` contains this text. */
  on?: string;
  /** Share of the requests, 0 to 1. Default: 1. */
  chance?: number;
  /** How many requests at most. Default: no limit. */
  times?: number;
  ms?: number;
}

/** Whether `value` is a list of faults. Only their kinds are validated. */
export function areFaults(value: unknown): value is Fault[] {
  return Array.isArray(value) && value.every((fault) => kinds.includes(fault?.kind));
}

/** The active faults. The same seed and the same requests give the same faults. */
export class Faults {
  #faults: Fault[];
  #random: () => number;
  /** How many faults were injected. */
  injected = 0;

  constructor(faults: readonly Fault[] = [], seed = 1) {
    this.#faults = faults.map((fault) => ({ ...fault }));
    this.#random = seeded(seed);
  }

  replace(faults: readonly Fault[]): void {
    this.#faults = faults.map((fault) => ({ ...fault }));
  }

  /** The fault for a request, given as `METHOD path`. */
  draw(request: string): Fault | undefined {
    const drawn = this.#faults.find(
      ({ on = '', chance = 1, times = 1 }) => request.includes(on) && times > 0 && this.#random() < chance,
    );
    if (drawn?.times !== undefined) drawn.times--;
    if (drawn) this.injected++;
    return drawn;
  }
}

/** Mulberry32: small, and uniform enough to draw faults. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
