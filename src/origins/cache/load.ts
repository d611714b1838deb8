import { Problem } from '../../errors.ts';
import type { Block } from './block.ts';

/**
 * Consecutive blocks that one request to the origin brings. A reader that wants one of them joins the load
 * and gets the bytes as they arrive. When the last reader leaves, the request is cancelled.
 */
export class Load {
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Set once a second reader has joined. */
  isShared = false;
  state: 'running' | 'done' | 'failed' = 'running';
  readonly #cancelled = new AbortController();
  #blocks: Block[] = [];
  #readers = 0;
  /** Set while a reader waits for the next bytes. */
  #news: PromiseWithResolvers<void> | undefined;
  #failure: unknown;

  constructor(firstIndex: number, lastIndex: number) {
    this.firstIndex = firstIndex;
    this.lastIndex = lastIndex;
  }

  /** Aborts when the load is cancelled. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  includes(index: number): boolean {
    return index >= this.firstIndex && index <= this.lastIndex;
  }

  join(): void {
    this.isShared = this.#readers > 0;
    this.#readers++;
  }

  leave(): void {
    if (--this.#readers === 0) this.cancel();
    this.#wake(); // the reader that leaves may itself be waiting
  }

  /** Cancels the request. If readers still wait for it, the recording was removed: they get `version_changed`. */
  cancel(): void {
    this.#cancelled.abort(new Problem('version_changed', undefined, { cause: 'the load was cancelled' }));
  }

  /** A block of the load, perhaps not full yet. undefined before the load has its turn, and after its end. */
  block(index: number): Block | undefined {
    return this.#blocks[index - this.firstIndex];
  }

  /** Resolves when more may have arrived. @throws what the load failed with */
  async progress(): Promise<void> {
    if (this.state === 'failed') throw this.#failure;
    if (this.state === 'done') return;
    this.#news ??= Promise.withResolvers();
    await this.#news.promise;
  }

  /** The load has its turn, and these are its blocks to fill. */
  start(blocks: Block[]): void {
    this.#blocks = blocks;
  }

  /**
   * Fills the blocks with `bytes`, one after the other.
   *
   * @param onFull is called with each block once it is full. If it returns a promise, the next bytes wait for it
   * @returns how many bytes are missing at the end
   */
  async fill(
    bytes: AsyncIterable<Uint8Array>,
    onFull: (block: Block) => Promise<void> | undefined,
  ): Promise<number> {
    let index = 0;
    for await (const chunk of bytes) {
      let taken = 0;
      while (taken < chunk.length && index < this.#blocks.length) {
        const block = this.#blocks[index]!;
        taken += block.append(chunk.subarray(taken));
        if (block.arrived < block.length) continue;
        const work = onFull(block);
        if (work) await work;
        index++;
      }
      this.#wake();
    }
    return this.#blocks.slice(index).reduce((missing, block) => missing + block.length - block.arrived, 0);
  }

  /** Drops the blocks. Call it before they are unpinned: they can be evicted from then on. */
  detach(): void {
    this.#blocks = [];
  }

  end(): void {
    this.state = 'done';
    this.#wake();
  }

  /** Ends the load with an error, and frees what it may still hold of the origin. */
  fail(failure: unknown): void {
    this.#failure = failure;
    this.state = 'failed';
    this.cancel();
    this.#wake();
  }

  #wake(): void {
    this.#news?.resolve();
    this.#news = undefined;
  }
}
