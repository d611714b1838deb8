import type { Load } from './load.ts';

/** The loads that one reader has joined: the one that it reads from, and the next one if that was requested ahead. */
export class JoinedLoads {
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.leave();
  #loads: Load[] = [];

  /** @param signal of the reader: all loads are left when it aborts */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  join(load: Load): void {
    load.join();
    this.#loads.push(load);
    this.#signal.addEventListener('abort', this.#onAbort); // has no effect the second time
  }

  find(index: number): Load | undefined {
    return this.#loads.findLast((load) => load.includes(index));
  }

  /** Drops the loads that end before this block: the reader needs them no more. */
  dropBefore(index: number): void {
    if (this.#loads.length > 0) this.#loads = this.#loads.filter((load) => load.lastIndex >= index);
  }

  /** The reader has all of its bytes. The loads run on, for the next reader. */
  finish(): void {
    this.#loads = [];
    this.#signal.removeEventListener('abort', this.#onAbort);
  }

  /** The reader stops early. A load that nobody else has joined is cancelled. */
  leave(): void {
    for (const load of this.#loads) load.leave();
    this.finish();
  }
}
