import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import { Buffers } from '../buffers.ts';
import type { ByteRange, Origin, Representation, Version } from '../origin.ts';
import { blockBytes } from './block.ts';
import { BlockReader } from './block-reader.ts';
import type { Disk } from './disk.ts';
import { Loader } from './loader.ts';
import type { Memory } from './memory.ts';

export interface BlockCacheOptions {
  /** The origin's name: the same after a restart, and no other origin's. */
  readonly name: string;
  /** May be shared with other caches. */
  readonly memory: Memory;
  readonly disk?: Disk;
  /** May be shared with other origins, so that their limits hold for the process. */
  readonly buffers?: Buffers;
  readonly metrics: Pick<Metrics, 'blocks'>;
}

/**
 * A cache in front of another Origin: blocks of 1 MiB, in memory and then on disk.
 *
 * A load brings what is missing at the origin's speed, and nothing is read ahead of a slow listener. So a
 * thousand slow listeners hold no connection.
 */
export class BlockCache implements Origin {
  readonly #origin: Origin;
  readonly #name: string;
  readonly #memory: Memory;
  readonly #disk: Disk | undefined;
  readonly #loader: Loader;
  readonly #buffers: Buffers;

  constructor(origin: Origin, { name, memory, disk, buffers = new Buffers(), metrics }: BlockCacheOptions) {
    this.#origin = origin;
    this.#name = name;
    this.#memory = memory;
    this.#disk = disk;
    this.#loader = new Loader(origin, memory, disk, metrics);
    this.#buffers = buffers;
  }

  /** Never cached: the caller wants to know which version is there now. */
  stat(key: string, signal?: AbortSignal): Promise<Representation> {
    return this.#origin.stat(key, signal);
  }

  async read(
    key: string,
    range: ByteRange,
    { etag, size, blockDigests }: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    if (range.last >= size)
      throw new Problem('origin_failed', undefined, { cause: `there are only ${size} bytes` });
    const cache = { loader: this.#loader, memory: this.#memory, buffers: this.#buffers };
    const version = { key, etag, size, blockDigests, idPrefix: this.#idPrefix(key, etag) };
    const reader = new BlockReader(cache, version, range, signal);
    await reader.open();
    return reader.chunks();
  }

  /** Drops the blocks of a recording that was removed, and cancels its loads. */
  async forget(key: string, { etag, size }: Version): Promise<void> {
    const idPrefix = this.#idPrefix(key, etag);
    for (let index = 0; index * blockBytes < size; index++) {
      this.#loader.cancel(idPrefix + index);
      this.#memory.drop(idPrefix + index);
      await this.#disk?.remove(idPrefix + index);
    }
  }

  #idPrefix(key: string, etag: string): string {
    return `${this.#name}\n${key}\n${etag}\n`;
  }
}
