import { type Buffers, slowAfterMs, smallBytes } from '../buffers.ts';
import type { ByteRange } from '../origin.ts';
import { type Block, blockBytes } from './block.ts';
import { JoinedLoads } from './joined-loads.ts';
import { Load } from './load.ts';
import type { CachedVersion, Loader } from './loader.ts';
import type { Memory } from './memory.ts';

/** What the reader uses of its cache. */
interface Cache {
  readonly loader: Loader;
  readonly memory: Memory;
  readonly buffers: Buffers;
}

/**
 * One read from the cache. A listener that drains its chunks at once gets parts of the blocks themselves. A slow
 * one gets small copies, so that it keeps no block in memory. While too many blocks are lent, everyone gets copies.
 */
export class BlockReader {
  readonly #cache: Cache;
  readonly #version: CachedVersion;
  readonly #last: number;
  readonly #signal: AbortSignal;
  readonly #joined: JoinedLoads;
  #position: number;
  #isSlow = false;
  /** Index of the block that the last chunk came from. */
  #usedIndex = -1;
  /** For copies. Each chunk reuses it. */
  #buffer: Buffer | undefined;

  constructor(cache: Cache, version: CachedVersion, { first, last }: ByteRange, signal: AbortSignal) {
    this.#cache = cache;
    this.#version = version;
    this.#position = first;
    this.#last = last;
    this.#signal = signal;
    this.#joined = new JoinedLoads(signal);
  }

  /** Resolves once the first byte is in memory. @throws what its load failed with */
  async open(): Promise<void> {
    try {
      let found = this.#find();
      while (found instanceof Load) {
        await this.#progress(found);
        found = this.#find();
      }
    } catch (error) {
      this.#joined.leave();
      throw error;
    }
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    const { memory } = this.#cache;
    try {
      while (this.#position <= this.#last) {
        this.#signal.throwIfAborted();
        const found = this.#find();
        if (found instanceof Load) {
          await this.#progress(found);
          continue;
        }
        const lent = found && !this.#isSlow && memory.lend(found) ? found : undefined;
        let chunk: Uint8Array;
        if (lent) chunk = this.#partOf(lent);
        else if (found) chunk = this.#copyOf(found);
        else chunk = await this.#fetchChunk();
        if (lent) this.#releaseBuffer();
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
      this.#releaseBuffer();
    }
  }

  /**
   * The block if the byte at the position has arrived, or the load that will bring it. Call it again after any
   * wait: a block that is not lent can be evicted meanwhile.
   *
   * undefined if the block of a slow listener was evicted while it drained a chunk. Do not load it again: a
   * megabyte would be fetched for each chunk.
   */
  #find(): Block | Load | undefined {
    const { loader } = this.#cache;
    const index = Math.floor(this.#position / blockBytes);
    const lastIndex = Math.floor(this.#last / blockBytes);
    const offset = this.#position % blockBytes;
    this.#joined.dropBefore(index);
    if (this.#isSlow) {
      if (offset > 0 && loader.isMissing(this.#version.idPrefix + index)) return undefined;
    } else {
      loader.readAhead(this.#version, index, lastIndex, this.#joined);
    }
    const isUsed = this.#usedIndex === index;
    const lastWanted = this.#isSlow ? index : lastIndex;
    const found = loader.find(this.#version, index, lastWanted, this.#joined, isUsed);
    const block = found instanceof Load ? found.block(index) : found;
    if (!block || block.filled <= offset) return found; // the load: a block that was found is full
    this.#usedIndex = index;
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
    const copy = this.#takeBuffer(part.length).subarray(0, part.length); // shorter if the buffer is small
    copy.set(part.subarray(0, copy.length));
    return copy;
  }

  /** Reads one chunk from the origin, without the cache. */
  async #fetchChunk(): Promise<Uint8Array> {
    const restOfRange = this.#last + 1 - this.#position;
    const restOfBlock = blockBytes - (this.#position % blockBytes);
    const rest = Math.min(restOfRange, restOfBlock);
    const chunk = this.#takeBuffer(rest).subarray(0, rest);
    await this.#cache.loader.readUncached(this.#version, this.#position, chunk, this.#signal);
    return chunk;
  }

  #takeBuffer(bytes: number): Buffer {
    const { buffers } = this.#cache;
    const wanted = this.#isSlow ? smallBytes : bytes;
    this.#buffer = this.#buffer ? buffers.exchange(this.#buffer, wanted) : buffers.take(wanted);
    return this.#buffer;
  }

  #releaseBuffer(): void {
    if (this.#buffer) this.#cache.buffers.release(this.#buffer);
    this.#buffer = undefined;
  }
}
