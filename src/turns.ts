import { Problem } from './errors.ts';

/** After this time a turn may be free. */
const retryAfterSeconds = 10;

export interface TurnsOptions {
  /** How many tasks may wait. One more fails at once. Default: any number. */
  readonly queue?: number;
  /** How long a task may wait. Default: until its signal aborts. */
  readonly patienceMs?: number;
}

interface Place {
  readonly party: object;
  readonly turn: PromiseWithResolvers<void>;
}

/**
 * Runs a limited number of tasks at one time. The others wait, first come first served.
 *
 * Tasks may belong to parties, such as the block loads of one origin. If there are several parties, each has at
 * most three quarters of the turns, so a party whose tasks are stuck cannot block the others. A waiting task is
 * skipped while its party has all its turns.
 */
export class Turns {
  readonly #limit: number;
  readonly #queue: number;
  readonly #patienceMs: number | undefined;
  #running = 0;
  readonly #runningByParty = new Map<object, number>();
  readonly #waiting = new Set<Place>();

  constructor(limit: number, { queue = Number.POSITIVE_INFINITY, patienceMs }: TurnsOptions = {}) {
    this.#limit = limit;
    this.#queue = queue;
    this.#patienceMs = patienceMs;
  }

  /** Adds a party. Call it before the first task of the party. */
  admit(party: object): void {
    this.#runningByParty.set(party, 0);
  }

  /** Whether a task of this party would start at once. */
  isFree(party: object = this): boolean {
    const isShared = this.#runningByParty.size > 1;
    const share = isShared ? Math.max(1, Math.floor(this.#limit * 0.75)) : this.#limit;
    return this.#running < this.#limit && this.#runningOf(party) < share;
  }

  /**
   * Runs `task` in its turn.
   *
   * @throws Problem `busy` if the queue is full or the turn does not come in time; the reason of `signal`,
   * if it aborts before the turn; what `task` throws
   */
  async run<T>(signal: AbortSignal, task: () => Promise<T>, party: object = this): Promise<T> {
    signal.throwIfAborted();
    if (this.isFree(party)) this.#count(party, 1);
    else await this.#wait(signal, party);
    try {
      return await task();
    } finally {
      this.#count(party, -1);
      this.#startNext();
    }
  }

  async #wait(signal: AbortSignal, party: object): Promise<void> {
    if (this.#waiting.size >= this.#queue) throw busy('the queue is full');
    const place = { party, turn: Promise.withResolvers<void>() };
    const leave = (reason: unknown) => {
      this.#waiting.delete(place);
      place.turn.reject(reason); // no effect once the turn has come
    };
    const onAbort = () => leave(signal.reason);
    const onLate = () => leave(busy(`no turn within ${this.#patienceMs} ms`));
    const timer = this.#patienceMs === undefined ? undefined : setTimeout(onLate, this.#patienceMs);
    this.#waiting.add(place);
    signal.addEventListener('abort', onAbort);
    try {
      await place.turn.promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Gives the turn that has ended to the first task that may have it. */
  #startNext(): void {
    for (const place of this.#waiting) {
      if (!this.isFree(place.party)) continue;
      this.#waiting.delete(place);
      this.#count(place.party, 1); // before the task runs, or a newcomer would get the same turn
      place.turn.resolve();
      return;
    }
  }

  #count(party: object, tasks: 1 | -1): void {
    this.#running += tasks;
    this.#runningByParty.set(party, this.#runningOf(party) + tasks);
  }

  #runningOf(party: object): number {
    return this.#runningByParty.get(party) ?? 0;
  }
}

function busy(cause: string): Problem {
  return new Problem('busy', undefined, { cause, retryAfter: retryAfterSeconds });
}
