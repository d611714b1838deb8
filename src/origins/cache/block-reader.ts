import { type Buffers, slowAfter, smallSize } from '../buffers.ts';
import type { ByteRange } from '../origin.ts';
import { Joined, Load } from './load.ts';
import type { CachedVersion, Loader } from './loader.ts';
import { type Block, blockSize, type Memory } from './memory.ts';

interface Parts {
  readonly loader: Loader;
  readonly memory: Memory;
  readonly buffers: Buffers;
}

/**
 * One read from the cache. As long as its chunks drain at once, a listener is handed the blocks
 * themselves; when they do not, it gets copies of small pieces, so that it keeps no block in memory. When
 * too many blocks are out, everyone gets copies.
 */
export class Listener {
  readonly #parts: Parts;
  readonly #version: CachedVersion;
  readonly #last: number;
  readonly #signal: AbortSignal;
  readonly #joined: Joined;
  #position: number;
  #isSlow = false;
  /** Index of the block whose use was counted last. */
  #used = -1;
  #copy: Buffer | undefined;

  constructor(parts: Parts, version: CachedVersion, { first, last }: ByteRange, signal: AbortSignal) {
    this.#parts = parts;
    this.#version = version;
    this.#position = first;
    this.#last = last;
    this.#signal = signal;
    this.#joined = new Joined(signal);
  }

  /** Resolves once the first byte is there. */
  async open(): Promise<void> {
    try {
      for (let found = this.#find(); found instanceof Load; found = this.#find()) await this.#progress(found);
    } catch (error) {
      this.#joined.leave();
      throw error;
    }
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const { memory } = this.#parts;
    try {
      while (this.#position <= this.#last) {
        this.#signal.throwIfAborted();
        const found = this.#find();
        if (found instanceof Load) {
          await this.#progress(found);
          continue;
        }
        const lent = found && !this.#isSlow && memory.lend(found) ? found : undefined;
        const chunk = lent ? this.#partOf(lent) : found ? this.#copyOf(found) : await this.#piece();
        if (lent) this.#giveCopyBack();
        this.#position += chunk.length;
        const handedAt = performance.now();
        try {
          yield chunk;
        } finally {
          if (lent) memory.giveBack(lent);
        }
        this.#isSlow = performance.now() - handedAt > slowAfter;
      }
      this.#joined.finish();
    } finally {
      this.#joined.leave();
      this.#giveCopyBack();
    }
  }

  /**
   * The block if the byte at the position is there, or the load that will bring it. Whoever waits before
   * using a block has to find it again: only a lent block is safe from being pushed out.
   *
   * Undefined where a slow listener's block made way to others while it was drained: loaded again, it
   * would make way again, a megabyte for each piece.
   */
  #find(): Block | Load | undefined {
    const { loader } = this.#parts;
    const index = Math.floor(this.#position / blockSize);
    const lastIndex = Math.floor(this.#last / blockSize);
    const offset = this.#position % blockSize;
    this.#joined.reach(index);
    if (this.#isSlow) {
      if (offset > 0 && loader.isMissing(this.#version.idPrefix + index)) return undefined;
    } else {
      loader.readAhead(this.#version, index, lastIndex, this.#joined);
    }
    const isUsed = this.#used === index;
    const found = loader.find(this.#version, index, this.#isSlow ? index : lastIndex, this.#joined, isUsed);
    const block = found instanceof Load ? found.block(index) : found;
    if (!block || block.filled <= offset) return found;
    this.#used = index;
    return block;
  }

  async #progress(load: Load): Promise<void> {
    await load.progress();
    this.#signal.throwIfAborted();
  }

  #partOf(block: Block): Uint8Array {
    const offset = this.#position % blockSize;
    return block.slab.subarray(offset, Math.min(block.filled, offset + this.#last + 1 - this.#position));
  }

  #copyOf(block: Block): Uint8Array {
    const part = this.#partOf(block);
    const buffer = this.#buffer(part.length);
    const copy = buffer.subarray(0, part.length);
    copy.set(part.subarray(0, copy.length));
    return copy;
  }

  async #piece(): Promise<Uint8Array> {
    const left = Math.min(this.#last + 1 - this.#position, blockSize - (this.#position % blockSize));
    const piece = this.#buffer(left).subarray(0, left);
    await this.#parts.loader.readPiece(this.#version, this.#position, piece, this.#signal);
    return piece;
  }

  #buffer(bytes: number): Buffer {
    const { buffers } = this.#parts;
    const wanted = this.#isSlow ? smallSize : bytes;
    this.#copy = this.#copy ? buffers.exchange(this.#copy, wanted) : buffers.take(wanted);
    return this.#copy;
  }

  #giveCopyBack(): void {
    if (this.#copy) this.#parts.buffers.give(this.#copy);
    this.#copy = undefined;
  }
}
