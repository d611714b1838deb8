import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import type { OriginName } from '../../unions.ts';
import { Buffers } from '../buffers.ts';
import type { ByteRange, Origin, Representation, Version } from '../origin.ts';
import { type Blocks, blockBytes, blocksOf } from './block.ts';
import { BlockReader } from './block-reader.ts';
import type { Disk } from './disk.ts';
import { Loader } from './loader.ts';
import type { Memory } from './memory.ts';

export interface BlockCacheOptions {
  readonly name: OriginName;
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
  readonly #name: OriginName;
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
    const { idPrefix } = blocksOf(this.#name, key, etag, size);
    const version = {
      key,
      etag,
      size,
      blockDigests,
      idPrefix,
      forgotten: this.#loader.timesForgotten(idPrefix),
    };
    const reader = new BlockReader(cache, version, range, signal);
    await reader.open();
    return reader.chunks();
  }

  /** Drops the blocks of audio that was removed, and ends its loads. Reads that are open bring none of them back. */
  async forget({ idPrefix, size }: Blocks): Promise<void> {
    this.#loader.forget(idPrefix);
    for (let index = 0; index * blockBytes < size; index++) {
      this.#loader.cancel(idPrefix + index);
      this.#memory.drop(idPrefix + index);
      await this.#disk?.remove(idPrefix + index);
    }
  }
}
