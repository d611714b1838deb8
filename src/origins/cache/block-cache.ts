import { LRUCache } from 'lru-cache';
import { isProblem, Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import { Buffers } from '../buffers.ts';
import type { ByteRange, Origin, Representation } from '../origin.ts';
import { Listener } from './block-reader.ts';
import type { Disk } from './disk.ts';
import { Loader } from './loader.ts';
import { blockSize, Memory } from './memory.ts';

/** Milliseconds for which the origin is not asked again what a recording is. */
const statLifetime = 10_000;
const recordingsKnown = 20_000;

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
  readonly #name: string;
  readonly #memory: Memory;
  readonly #disk: Disk | undefined;
  readonly #buffers: Buffers;
  readonly #loader: Loader;
  readonly #stats: LRUCache<string, Representation>;
  /** By version: its size never changes, so it is known for as long as there is room. */
  readonly #sizes = new LRUCache<string, number>({ max: recordingsKnown });

  constructor(origin: Origin, { name, memory, disk, buffers = new Buffers(), metrics }: BlockCacheOptions) {
    this.#name = name;
    this.#memory = typeof memory === 'number' ? new Memory(memory) : memory;
    this.#disk = disk;
    this.#buffers = buffers;
    this.#loader = new Loader(origin, this.#memory, disk, metrics);
    this.#stats = new LRUCache({
      max: recordingsKnown,
      ttl: statLifetime,
      ignoreFetchAbort: true,
      fetchMethod: (key, held) =>
        origin.stat(key).catch((error) => {
          if (held && isProblem(error, 'origin_unavailable')) return held;
          throw error;
        }),
    });
  }

  /** Blocks that listeners hold at this moment. */
  get lent(): number {
    return this.#memory.lent;
  }

  /** Held for ten seconds, and for longer while the origin is out of reach. */
  async stat(key: string): Promise<Representation> {
    return this.#stat(key, false);
  }

  /** Spares the origin the question how large a version is, where that is known from elsewhere. */
  know(key: string, { etag, size }: Pick<Representation, 'etag' | 'size'>): void {
    this.#sizes.set(this.#nameOf(key, etag), size);
  }

  /** Drops what is held of a recording that was removed, and breaks off what is on its way. */
  async forget(key: string, { etag, size }: Pick<Representation, 'etag' | 'size'>): Promise<void> {
    const name = this.#nameOf(key, etag);
    this.#stats.delete(key);
    for (let index = 0; index * blockSize < size; index++) {
      this.#loader.cancel(name + index);
      this.#memory.drop(name + index);
      await this.#disk?.remove(name + index);
    }
  }

  async read(
    key: string,
    range: ByteRange,
    etag: string,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    const name = this.#nameOf(key, etag);
    const size = this.#sizes.get(name) ?? (await this.#sizeOf(key, etag, range));
    signal.throwIfAborted(); // it may have left in the meantime
    if (range.last >= size)
      throw new Problem('origin_failed', undefined, { cause: `there are only ${size} bytes` });
    const parts = { loader: this.#loader, memory: this.#memory, buffers: this.#buffers };
    const listener = new Listener(parts, { key, etag, size, name }, range, signal);
    await listener.open();
    return listener.chunks();
  }

  /** Asks the disk, then the origin; what the origin said before may be of the version before. */
  async #sizeOf(key: string, etag: string, { first }: ByteRange): Promise<number> {
    const name = this.#nameOf(key, etag);
    const stored = await this.#disk?.sizeOf(name + Math.floor(first / blockSize));
    if (stored !== undefined) {
      this.#sizes.set(name, stored);
      return stored;
    }
    const held = await this.#stat(key, false);
    const { etag: current, size } = held.etag === etag ? held : await this.#stat(key, true);
    if (current !== etag) throw new Problem('version_changed');
    return size;
  }

  async #stat(key: string, isFresh: boolean): Promise<Representation> {
    const representation = (await this.#stats.fetch(key, { forceRefresh: isFresh }))!;
    this.know(key, representation);
    return representation;
  }

  #nameOf(key: string, etag: string): string {
    return `${this.#name}\n${key}\n${etag}\n`;
  }
}
