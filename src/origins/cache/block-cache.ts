import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import { Buffers } from '../buffers.ts';
import type { ByteRange, Origin, Representation, Version } from '../origin.ts';
import { Listener } from './block-reader.ts';
import type { Disk } from './disk.ts';
import { Loader } from './loader.ts';
import { blockSize, Memory } from './memory.ts';

export interface BlockCacheOptions {
  /** The origin's name: the same after a restart, and no other origin's. */
  readonly name: string;
  /** Bytes, or the memory that it shares with other caches. */
  readonly memory: number | Memory;
  readonly disk?: Disk;
  /** Shared with other origins, so that their limits hold for the process. */
  readonly buffers?: Buffers;
  readonly metrics: Pick<Metrics, 'blocks'>;
}

/**
 * A cache of 1 MiB blocks, an Origin made of an Origin: memory first, disk behind it.
 *
 * A listener reads from the cache and never from the origin. What is missing comes by a load, which runs
 * at the origin's speed whether or not its listener drains it, so that a thousand slow listeners hold no
 * connection.
 */
export class BlockCache implements Origin {
  readonly #origin: Origin;
  readonly #name: string;
  readonly #memory: Memory;
  readonly #disk: Disk | undefined;
  readonly #buffers: Buffers;
  readonly #loader: Loader;

  constructor(origin: Origin, { name, memory, disk, buffers = new Buffers(), metrics }: BlockCacheOptions) {
    this.#origin = origin;
    this.#name = name;
    this.#memory = typeof memory === 'number' ? new Memory(memory) : memory;
    this.#disk = disk;
    this.#buffers = buffers;
    this.#loader = new Loader(origin, this.#memory, disk, metrics);
  }

  /** Blocks that listeners hold at this moment. */
  get lent(): number {
    return this.#memory.lent;
  }

  /** Never cached: a recording is looked up to learn which version is there now. */
  stat(key: string, signal?: AbortSignal): Promise<Representation> {
    return this.#origin.stat(key, signal);
  }

  async read(
    key: string,
    range: ByteRange,
    { etag, size }: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    if (range.last >= size)
      throw new Problem('origin_failed', undefined, { cause: `there are only ${size} bytes` });
    const parts = { loader: this.#loader, memory: this.#memory, buffers: this.#buffers };
    const version = { key, etag, size, idPrefix: this.#idPrefix(key, etag) };
    const listener = new Listener(parts, version, range, signal);
    await listener.open();
    return listener.chunks();
  }

  /** Drops what is held of a recording that was removed, and cancels its loads. */
  async forget(key: string, { etag, size }: Version): Promise<void> {
    const idPrefix = this.#idPrefix(key, etag);
    for (let index = 0; index * blockSize < size; index++) {
      this.#loader.cancel(idPrefix + index);
      this.#memory.drop(idPrefix + index);
      await this.#disk?.remove(idPrefix + index);
    }
  }

  #idPrefix(key: string, etag: string): string {
    return `${this.#name}\n${key}\n${etag}\n`;
  }
}
