import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import type { Turns } from '../../turns.ts';
import type { Origin, Version } from '../origin.ts';
import type { Disk } from './disk.ts';
import { type Joined, Load } from './load.ts';
import { Block, blockSize, type Memory, runLength } from './memory.ts';

/** The version of a recording that blocks belong to. */
export interface CachedVersion extends Version {
  readonly key: string;
  /** The id of a block is this and the block's index. */
  readonly idPrefix: string;
}

/**
 * Finds blocks, in memory or on their way, and sees to it that each is on its way only once. The loads
 * that run at one time fill half of the memory at most; others wait for their turn, first come first served.
 */
export class Loader {
  readonly #origin: Origin;
  readonly #memory: Memory;
  readonly #turns: Turns;
  readonly #disk: Disk | undefined;
  readonly #hits: { inc(): void };
  readonly #metrics: Pick<Metrics, 'blocks'>;
  readonly #loads = new Map<string, Load>();

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
   * The block, or the load that will bring it, joined.
   *
   * @param last index of the last block the listener wants to have requested
   * @param isUsed this listener had its use of the block counted already
   */
  find(version: CachedVersion, index: number, last: number, joined: Joined, isUsed: boolean): Block | Load {
    const id = version.idPrefix + index;
    const own = joined.find(index);
    const block = this.#memory.get(id);
    if (block) {
      if (own || isUsed) return block;
      this.#hits.inc();
      this.#memory.touch(block);
      return block;
    }
    if (own && own.state !== 'done') return own;
    const load = this.#underWay(id);
    if (!load) return this.#request(version, index, last, joined);
    this.#metrics.blocks.inc({ outcome: 'shared' });
    joined.join(load);
    return load;
  }

  /** Requests what follows a load when its last block is reached, if that is missing and no one else must wait. */
  readAhead(version: CachedVersion, index: number, last: number, joined: Joined): void {
    if (index >= last || !this.#turns.isFree(this) || joined.find(index)?.lastIndex !== index) return;
    if (this.isMissing(version.idPrefix + (index + 1))) this.#request(version, index + 1, last, joined);
  }

  /** Ends the load that would bring this block, whoever waits for it. */
  cancel(id: string): void {
    this.#loads.get(id)?.cancel();
  }

  #request(version: CachedVersion, first: number, last: number, joined: Joined): Load {
    let end = first;
    // Where loads wait for their turn, what is not needed yet would make them wait for longer.
    const isRun = !this.#disk?.has(version.idPrefix + first) && this.#turns.isFree(this);
    while (isRun && end < last && end - first + 1 < runLength && this.isMissing(version.idPrefix + (end + 1)))
      end++;
    const load = new Load(first, end);
    for (let index = first; index <= end; index++) this.#loads.set(version.idPrefix + index, load);
    joined.join(load);
    this.#run(load, version);
    return load;
  }

  /**
   * Fills `piece` straight from the origin, past the cache.
   *
   * @throws what the origin throws, or the reason of `signal`
   */
  async readPiece(version: CachedVersion, first: number, piece: Buffer, signal: AbortSignal): Promise<void> {
    this.#metrics.blocks.inc({ outcome: 'miss' });
    let filled = 0;
    const range = { first, last: first + piece.length - 1 };
    for await (const chunk of await this.#origin.read(version.key, range, version, signal)) {
      piece.set(chunk, filled);
      filled += chunk.length;
    }
    if (filled < piece.length) throw missing(piece.length - filled);
  }

  /** Neither in memory nor on disk nor on its way. */
  isMissing(id: string): boolean {
    return !this.#memory.get(id) && !this.#underWay(id) && !this.#disk?.has(id);
  }

  async #run(load: Load, version: CachedVersion): Promise<void> {
    try {
      const isHere = await this.#fromDisk(load, version);
      if (!isHere) await this.#fromOrigin(load, version);
    } catch (error) {
      load.fail(error);
    }
    for (let index = load.firstIndex; index <= load.lastIndex; index++) {
      if (this.#loads.get(version.idPrefix + index) === load) this.#loads.delete(version.idPrefix + index);
    }
  }

  /** Only single blocks are asked of the disk: a run is made of those that it lacks. */
  async #fromDisk(load: Load, version: CachedVersion): Promise<boolean> {
    const disk = this.#disk;
    if (!disk?.has(version.idPrefix + load.firstIndex)) return false;
    return this.#fill(load, version, async ([block]) => {
      if (!block || !(await disk.read(block, version.size))) return false;
      this.#metrics.blocks.inc({ outcome: 'disk' });
      this.#memory.keep(block, load.isShared);
      return true;
    });
  }

  /** Waits for the origin first and for a turn then: an origin that is dead keeps nobody else waiting. */
  async #fromOrigin(load: Load, version: CachedVersion): Promise<void> {
    const { key, size } = version;
    load.signal.throwIfAborted(); // its last listener may have left during the look at the disk
    const range = {
      first: load.firstIndex * blockSize,
      last: Math.min((load.lastIndex + 1) * blockSize, size) - 1,
    };
    this.#metrics.blocks.inc({ outcome: 'miss' }, load.lastIndex - load.firstIndex + 1);
    const bytes = await this.#origin.read(key, range, version, load.signal);
    await this.#fill(load, version, async () => {
      const short = await load.fill(bytes, (block) => {
        this.#memory.keep(block, load.isShared);
        this.#toDisk(block, size);
      });
      if (short > 0) throw missing(short);
      return true;
    });
  }

  /** Gives the load its blocks, in its turn, for `work` to fill. @returns whether they are full */
  #fill(load: Load, version: CachedVersion, work: (blocks: Block[]) => Promise<boolean>): Promise<boolean> {
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
        load.letGo(); // before the blocks may be pushed out
        for (const block of blocks) this.#memory.unpin(block);
      }
    };
    return this.#turns.run(load.signal, task, this);
  }

  #toDisk(block: Block, size: number): void {
    if (!this.#disk) return;
    this.#memory.pin(block);
    this.#disk.write(block, size).finally(() => this.#memory.unpin(block));
  }

  #newBlock({ idPrefix, size }: CachedVersion, index: number): Block {
    const rest = size - index * blockSize;
    const isEdge = index === 0 || rest <= blockSize;
    const block = new Block(idPrefix + index, Math.min(blockSize, rest), isEdge, this.#memory.take());
    this.#memory.pin(block);
    return block;
  }

  #underWay(id: string): Load | undefined {
    const load = this.#loads.get(id);
    return load?.signal.aborted ? undefined : load;
  }
}

/** Without the key, which may be a signed URL: causes are logged. */
function missing(bytes: number): Problem {
  return new Problem('origin_failed', undefined, { cause: `${bytes} bytes are missing` });
}
