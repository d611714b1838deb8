const kinds = ['latency', 'limit', 'error', 'reset', 'silence'] as const;

/** Something that goes wrong on purpose. */
export interface Fault {
  /** `latency` waits `ms`; `limit` answers 429, `error` 500; `reset` breaks the line; `silence` never answers. */
  kind: (typeof kinds)[number];
  /** Whether the request takes effect all the same. `limit` and `latency` are always before. */
  when?: 'before' | 'after';
  /** Only requests whose `METHOD path` contains this. */
  on?: string;
  /** Of how many requests, 0 to 1; left out: all. */
  chance?: number;
  /** How often at most; left out: always. */
  times?: number;
  ms?: number;
}

/** A list of faults, as far as their kinds tell. */
export function areFaults(given: unknown): given is Fault[] {
  return Array.isArray(given) && given.every((fault) => kinds.includes(fault?.kind));
}

/** The faults in force. The same seed and the same requests meet the same faults. */
export class Faults {
  #faults: Fault[];
  #random: () => number;
  /** How many faults were inflicted. */
  inflicted = 0;

  constructor(faults: readonly Fault[] = [], seed = 1) {
    this.#faults = faults.map((fault) => ({ ...fault }));
    this.#random = seeded(seed);
  }

  replace(faults: readonly Fault[]): void {
    this.#faults = faults.map((fault) => ({ ...fault }));
  }

  /** The fault that this request meets, if any. */
  draw(request: string): Fault | undefined {
    const met = this.#faults.find(
      ({ on = '', chance = 1, times = 1 }) => request.includes(on) && times > 0 && this.#random() < chance,
    );
    if (met?.times !== undefined) met.times--;
    if (met) this.inflicted++;
    return met;
  }
}

/** Mulberry32: small, and even enough to decide when things break. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
