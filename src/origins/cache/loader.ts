import { LRUCache } from 'lru-cache';
import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import type { Turns } from '../../turns.ts';
import type { Origin, Version } from '../origin.ts';
import { Block, blockBytes } from './block.ts';
import type { Disk } from './disk.ts';
import type { JoinedLoads } from './joined-loads.ts';
import { Load } from './load.ts';
import { type Memory, maxLoadBlocks } from './memory.ts';

/** Length of a SHA-256 as hexadecimal text. */
const digestLength = 64;

/** Removed audio that open reads may not bring back. */
const maxForgotten = 100_000;

/** The version of a recording that blocks belong to. */
export interface CachedVersion extends Version {
  readonly key: string;
  /** The id of a block is this and the block's index. */
  readonly idPrefix: string;
  /** How often its blocks had been forgotten when the read began. */
  readonly forgotten: number;
}

/**
 * Finds a block in memory or starts the load that brings it. No block is loaded twice at one time. The loads
 * that run take at most half of the memory. The others wait for their turn.
 */
export class Loader {
  readonly #origin: Origin;
  readonly #memory: Memory;
  readonly #turns: Turns;
  readonly #disk: Disk | undefined;
  /** Counts blocks that were in memory. */
  readonly #hits: { inc(): void };
  readonly #metrics: Pick<Metrics, 'blocks'>;
  /** Each load is there once for each of its blocks, under the block's id. */
  readonly #loads = new Map<string, Load>();
  readonly #forgotten = new LRUCache<string, number>({ max: maxForgotten });

  constructor(origin: Origin, memory: Memory, disk: Disk | undefined, metrics: Pick<Metrics, 'blocks'>) {
    this.#origin = origin;
    this.#memory = memory;
    this.#turns = memory.turns;
    this.#turns.admit(this);
    this.#disk = disk;
    this.#metrics = metrics;
    this.#hits = metrics.blocks.labels('memory');
  }

  /**
   * The block, or the load that will bring it. The load is then among `joined`.
   *
   * @param lastIndex of the last block that the reader wants: one request can bring several blocks
   * @param isUsed the reader has used the block before: it is neither counted nor marked again
   * @throws Problem `version_changed` if the audio was removed since the read began
   */
  find(
    version: CachedVersion,
    index: number,
    lastIndex: number,
    joined: JoinedLoads,
    isUsed: boolean,
  ): Block | Load {
    if (this.timesForgotten(version.idPrefix) !== version.forgotten) throw new Problem('version_changed');
    const id = version.idPrefix + index;
    const joinedLoad = joined.find(index);
    const block = this.#memory.get(id);
    if (block) {
      if (joinedLoad || isUsed) return block;
      this.#hits.inc();
      this.#memory.touch(block);
      return block;
    }
    // A load that is done has brought the block, which was evicted since.
    if (joinedLoad && joinedLoad.state !== 'done') return joinedLoad;
    const load = this.#loadOf(id);
    if (!load) return this.#request(version, index, lastIndex, joined);
    this.#metrics.blocks.inc({ outcome: 'shared' });
    joined.join(load);
    return load;
  }

  /** Requests the next block if the reader's load ends with this one, unless other loads would have to wait. */
  readAhead(version: CachedVersion, index: number, lastIndex: number, joined: JoinedLoads): void {
    if (index >= lastIndex || !this.#turns.isFree(this)) return;
    const isEndOfLoad = joined.find(index)?.lastIndex === index;
    const next = index + 1;
    if (isEndOfLoad && this.isMissing(version.idPrefix + next))
      this.#request(version, next, lastIndex, joined);
  }

  timesForgotten(idPrefix: string): number {
    return this.#forgotten.get(idPrefix) ?? 0;
  }

  /** Ends every read that is open: it must not bring back blocks of audio that was removed. */
  forget(idPrefix: string): void {
    this.#forgotten.set(idPrefix, this.timesForgotten(idPrefix) + 1);
  }

  /** Cancels the load that would bring this block, even if readers wait for it. */
  cancel(id: string): void {
    this.#loads.get(id)?.cancel();
  }

  /** Whether the block is neither in memory nor on disk, and no load brings it. */
  isMissing(id: string): boolean {
    return !this.#memory.get(id) && !this.#loadOf(id) && !this.#disk?.has(id);
  }

  /**
   * Fills `chunk` from the origin, without the cache. `first` is the position of its first byte.
   *
   * @throws what the origin throws, or the reason of `signal`
   */
  async readUncached(
    version: CachedVersion,
    first: number,
    chunk: Buffer,
    signal: AbortSignal,
  ): Promise<void> {
    this.#metrics.blocks.inc({ outcome: 'miss' });
    let filled = 0;
    const range = { first, last: first + chunk.length - 1 };
    for await (const bytes of await this.#origin.read(version.key, range, version, signal)) {
      chunk.set(bytes, filled);
      filled += bytes.length;
    }
    if (filled < chunk.length) throw incomplete(chunk.length - filled);
  }

  /** Starts a load of the block `first` and of missing blocks after it, up to `last`. */
  #request(version: CachedVersion, first: number, last: number, joined: JoinedLoads): Load {
    // If loads wait for their turn, blocks that are not needed yet would make them wait longer.
    const isSingle = this.#disk?.has(version.idPrefix + first) || !this.#turns.isFree(this);
    const maxEnd = isSingle ? first : Math.min(last, first + maxLoadBlocks - 1);
    let end = first;
    while (end < maxEnd && this.isMissing(version.idPrefix + (end + 1))) end++;
    const load = new Load(first, end);
    for (let index = first; index <= end; index++) this.#loads.set(version.idPrefix + index, load);
    joined.join(load);
    this.#run(load, version);
    return load;
  }

  async #run(load: Load, version: CachedVersion): Promise<void> {
    try {
      const wasOnDisk = await this.#fromDisk(load, version);
      if (!wasOnDisk) await this.#fromOrigin(load, version);
    } catch (error) {
      load.fail(error);
    }
    for (let index = load.firstIndex; index <= load.lastIndex; index++) {
      if (this.#loads.get(version.idPrefix + index) === load) this.#loads.delete(version.idPrefix + index);
    }
  }

  /** Fills the load from the disk. Only a load of one block can be there: `#request` adds none that is on disk. */
  async #fromDisk(load: Load, version: CachedVersion): Promise<boolean> {
    const disk = this.#disk;
    if (!disk?.has(version.idPrefix + load.firstIndex)) return false;
    return this.#fillInTurn(load, version, async ([block]) => {
      if (!block || !(await disk.read(block, version.size))) return false;
      if (!this.#isRight(block)) {
        await disk.remove(block.id);
        return false;
      }
      this.#metrics.blocks.inc({ outcome: 'disk' });
      this.#memory.keep(block, load.isShared);
      return true;
    });
  }

  /** Waits for the origin before it waits for a turn, so that an origin that does not respond holds no turn. */
  async #fromOrigin(load: Load, version: CachedVersion): Promise<void> {
    const { key, size } = version;
    load.signal.throwIfAborted(); // its last reader may have left while the disk was read
    const range = {
      first: load.firstIndex * blockBytes,
      last: Math.min((load.lastIndex + 1) * blockBytes, size) - 1,
    };
    this.#metrics.blocks.inc({ outcome: 'miss' }, load.lastIndex - load.firstIndex + 1);
    const bytes = await this.#origin.read(key, range, version, load.signal);
    await this.#fillInTurn(load, version, async () => {
      const keep = (block: Block) => {
        load.signal.throwIfAborted(); // its blocks may have been forgotten
        this.#memory.keep(block, load.isShared);
        this.#toDisk(block, size);
      };
      const missing = await load.fill(bytes, (block) => {
        if (!this.#isRight(block))
          return this.#fetchAgain(version, block, load.signal).then(() => keep(block));
        keep(block);
        return undefined;
      });
      if (missing > 0) throw incomplete(missing);
      return true;
    });
  }

  /** Waits for a turn, and gives the load its blocks. `work` fills them, and returns whether they are full. */
  #fillInTurn(
    load: Load,
    version: CachedVersion,
    work: (blocks: Block[]) => Promise<boolean>,
  ): Promise<boolean> {
    const task = async () => {
      const blocks: Block[] = [];
      try {
        for (let index = load.firstIndex; index <= load.lastIndex; index++) {
          blocks.push(this.#newBlock(version, index));
        }
        load.start(blocks);
        const isFull = await work(blocks);
        if (isFull) load.end();
        return isFull;
      } finally {
        load.detach();
        for (const block of blocks) this.#memory.unpin(block);
      }
    };
    return this.#turns.run(load.signal, task, this);
  }

  /** Whether the bytes of a whole block are those that were checked. Readers may use them then. */
  #isRight(block: Block): boolean {
    const isRight = block.verify();
    if (!isRight) this.#metrics.blocks.inc({ outcome: 'damaged' });
    return isRight;
  }

  /** Fetches a block once more, whose bytes were wrong. @throws Problem `audio_damaged` if they are wrong again */
  async #fetchAgain(version: CachedVersion, block: Block, signal: AbortSignal): Promise<void> {
    const index = Number(block.id.slice(version.idPrefix.length));
    await this.readUncached(version, index * blockBytes, block.bytes, signal);
    if (this.#isRight(block)) return;
    throw new Problem('audio_damaged', undefined, { cause: `block ${index} has other bytes` });
  }

  #toDisk(block: Block, size: number): void {
    if (!this.#disk) return;
    this.#memory.pin(block);
    this.#disk.write(block, size).finally(() => this.#memory.unpin(block));
  }

  #newBlock({ idPrefix, size, blockDigests }: CachedVersion, index: number): Block {
    const rest = size - index * blockBytes;
    const isEdge = index === 0 || rest <= blockBytes;
    const length = Math.min(blockBytes, rest);
    const digest = blockDigests?.slice(index * digestLength, (index + 1) * digestLength);
    const block = new Block(idPrefix + index, length, isEdge, this.#memory.take(), digest);
    this.#memory.pin(block);
    return block;
  }

  #loadOf(id: string): Load | undefined {
    const load = this.#loads.get(id);
    return load?.signal.aborted ? undefined : load;
  }
}

/** The cause is logged, so it does not name the key: that may be a signed URL. */
function incomplete(missingBytes: number): Problem {
  return new Problem('origin_failed', undefined, { cause: `${missingBytes} bytes are missing` });
}
