/** A timeout that can be paused and restarted. */
export class Stopwatch {
  /** Running time so far, without pauses. */
  elapsedMs = 0;
  readonly #expire: () => void;
  /** The running time at which it expires. */
  #endMs = 0;
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(expire: () => void) {
    this.#expire = expire;
  }

  /** Restarts with `ms` left. */
  allow(ms: number): void {
    this.pause();
    this.#endMs = this.elapsedMs + ms;
    this.resume();
  }

  pause(): void {
    if (this.#timer) this.elapsedMs += performance.now() - this.#startedMs;
    this.stop();
  }

  resume(): void {
    this.#startedMs = performance.now();
    const leftMs = Math.max(0, this.#endMs - this.elapsedMs);
    // If the event loop was blocked, messages may have arrived meanwhile. Let them be handled first.
    this.#timer = setTimeout(() => {
      this.#immediate = setImmediate(this.#expire);
    }, leftMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
  }
}
