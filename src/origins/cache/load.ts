import { Problem } from '../../errors.ts';
import type { Block } from './memory.ts';

/**
 * A run of blocks on their way, by one request to the origin. Everyone who wants one of them joins the
 * load and is handed its bytes as they arrive; when the last of them leaves, the request is ended.
 */
export class Load {
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** More than one listener wants it. */
  isShared = false;
  state: 'under way' | 'done' | 'failed' = 'under way';
  readonly #cancelled = new AbortController();
  #blocks: Block[] = [];
  #listeners = 0;
  #waiting: PromiseWithResolvers<void> | undefined;
  #failure: unknown;

  constructor(firstIndex: number, lastIndex: number) {
    this.firstIndex = firstIndex;
    this.lastIndex = lastIndex;
  }

  /** Aborts when nobody wants this load any more, or nobody may have it. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  holds(index: number): boolean {
    return index >= this.firstIndex && index <= this.lastIndex;
  }

  join(): void {
    this.isShared = this.#listeners++ > 0;
  }

  leave(): void {
    if (--this.#listeners === 0) this.cancel();
    this.#wake(); // whoever left may be waiting
  }

  cancel(): void {
    this.#cancelled.abort(new Problem('version_changed', undefined, { cause: 'the load was cancelled' }));
  }

  /** A block of the run, as far as it has arrived; undefined before the load's turn and after its end. */
  block(index: number): Block | undefined {
    return this.#blocks[index - this.firstIndex];
  }

  /** Resolves when there may be news. @throws what the load failed with */
  async progress(): Promise<void> {
    if (this.state === 'failed') throw this.#failure;
    if (this.state === 'done') return;
    this.#waiting ??= Promise.withResolvers();
    await this.#waiting.promise;
  }

  /** The blocks to be filled: the load has its turn. */
  start(blocks: Block[]): void {
    this.#blocks = blocks;
  }

  /**
   * Lets `bytes` flow into the blocks, one after the other.
   *
   * @param complete is told of each block once it is full
   * @returns how many bytes are missing in the end
   */
  async fill(bytes: AsyncIterable<Uint8Array>, complete: (block: Block) => void): Promise<number> {
    let at = 0;
    for await (const chunk of bytes) {
      for (let taken = 0; taken < chunk.length && at < this.#blocks.length; ) {
        const block = this.#blocks[at]!;
        const piece = chunk.subarray(taken, taken + block.length - block.filled);
        block.slab.set(piece, block.filled);
        block.filled += piece.length;
        taken += piece.length;
        if (block.filled < block.length) continue;
        complete(block);
        at++;
      }
      this.#wake();
    }
    return this.#blocks.slice(at).reduce((missing, block) => missing + block.length - block.filled, 0);
  }

  /** The blocks are no longer this load's. */
  letGo(): void {
    this.#blocks = [];
  }

  end(): void {
    this.state = 'done';
    this.#wake();
  }

  /** Ends what the load may still hold of the origin, too. */
  fail(failure: unknown): void {
    this.#failure = failure;
    this.state = 'failed';
    this.cancel();
    this.#wake();
  }

  #wake(): void {
    this.#waiting?.resolve();
    this.#waiting = undefined;
  }
}

/** The loads that one listener has joined: the one it reads from, and the next where that is read ahead. */
export class Joined {
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.leave();
  #loads: Load[] = [];

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  join(load: Load): void {
    load.join();
    this.#loads.push(load);
    this.#signal.addEventListener('abort', this.#onAbort); // the same listener is added once
  }

  find(index: number): Load | undefined {
    return this.#loads.findLast((load) => load.holds(index));
  }

  /** The listener has come to this block: loads that end before it have done their work. */
  reach(index: number): void {
    if (this.#loads.length > 0) this.#loads = this.#loads.filter((load) => load.lastIndex >= index);
  }

  /** The listener has all it wanted; what is still on its way may arrive for the next one. */
  finish(): void {
    this.#loads = [];
    this.#signal.removeEventListener('abort', this.#onAbort);
  }

  /** The listener is gone, and its loads with it where nobody else wants them. */
  leave(): void {
    for (const load of this.#loads) load.leave();
    this.finish();
  }
}
