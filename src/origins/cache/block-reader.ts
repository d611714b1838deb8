import { type Buffers, slowAfterMs, smallBytes } from '../buffers.ts';
import type { ByteRange } from '../origin.ts';
import { type Block, blockBytes } from './block.ts';
import { JoinedLoads } from './joined-loads.ts';
import { Load } from './load.ts';
import type { CachedVersion, Loader } from './loader.ts';
import type { Memory } from './memory.ts';

interface Parts {
  readonly loader: Loader;
  readonly memory: Memory;
  readonly buffers: Buffers;
}

/**
 * One read from the cache. A listener that drains its chunks at once gets the blocks themselves. A slow one
 * gets small copies, so that it keeps no block in memory. When too many blocks are lent, everyone gets copies.
 */
export class BlockReader {
  readonly #parts: Parts;
  readonly #version: CachedVersion;
  readonly #last: number;
  readonly #signal: AbortSignal;
  readonly #joined: JoinedLoads;
  #position: number;
  #isSlow = false;
  /** Index of the block that was used last. */
  #used = -1;
  #copy: Buffer | undefined;

  constructor(parts: Parts, version: CachedVersion, { first, last }: ByteRange, signal: AbortSignal) {
    this.#parts = parts;
    this.#version = version;
    this.#position = first;
    this.#last = last;
    this.#signal = signal;
    this.#joined = new JoinedLoads(signal);
  }

  /** Resolves once the first byte is in memory. @throws what the load throws */
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
        const chunk = lent ? this.#partOf(lent) : found ? this.#copyOf(found) : await this.#readPast();
        if (lent) this.#releaseCopy();
        this.#position += chunk.length;
        const handedAt = performance.now();
        try {
          yield chunk;
        } finally {
          if (lent) memory.release(lent);
        }
        this.#isSlow = performance.now() - handedAt > slowAfterMs;
      }
      this.#joined.finish();
    } finally {
      this.#joined.leave();
      this.#releaseCopy();
    }
  }

  /**
   * The block if the byte at the position has arrived, or the load that will bring it. Find the block again
   * after any wait: only a lent block cannot be evicted.
   *
   * undefined if the block of a slow listener was evicted meanwhile. Do not load it again: a megabyte would
   * be fetched for each chunk.
   */
  #find(): Block | Load | undefined {
    const { loader } = this.#parts;
    const index = Math.floor(this.#position / blockBytes);
    const lastIndex = Math.floor(this.#last / blockBytes);
    const offset = this.#position % blockBytes;
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
    const offset = this.#position % blockBytes;
    return block.slab.subarray(offset, Math.min(block.filled, offset + this.#last + 1 - this.#position));
  }

  #copyOf(block: Block): Uint8Array {
    const part = this.#partOf(block);
    const buffer = this.#buffer(part.length);
    const copy = buffer.subarray(0, part.length);
    copy.set(part.subarray(0, copy.length));
    return copy;
  }

  async #readPast(): Promise<Uint8Array> {
    const left = Math.min(this.#last + 1 - this.#position, blockBytes - (this.#position % blockBytes));
    const chunk = this.#buffer(left).subarray(0, left);
    await this.#parts.loader.readPast(this.#version, this.#position, chunk, this.#signal);
    return chunk;
  }

  #buffer(bytes: number): Buffer {
    const { buffers } = this.#parts;
    const wanted = this.#isSlow ? smallBytes : bytes;
    this.#copy = this.#copy ? buffers.exchange(this.#copy, wanted) : buffers.take(wanted);
    return this.#copy;
  }

  #releaseCopy(): void {
    if (this.#copy) this.#parts.buffers.release(this.#copy);
    this.#copy = undefined;
  }
}
