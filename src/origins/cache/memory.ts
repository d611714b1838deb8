import { Problem } from '../../errors.ts';
import { Turns } from '../../turns.ts';
import { type Block, blockBytes } from './block.ts';

/** The most blocks that one load brings, and that are read ahead of a listener. */
export const maxLoadBlocks = 4;
/** How long a load waits for its turn. Its listeners have left by then. */
const patienceMs = 60_000;
/** Part of the blocks that can be protected. */
const protectedShare = 0.75;

/**
 * The blocks in memory, in slabs of 1 MiB that are made once and reused. There is no other memory for blocks.
 *
 * At most a quarter of the slabs is lent to readers, at most half belongs to loads that run, and at most four are
 * being written to disk. So a load always finds a slab to take, and nobody waits for a slow listener.
 *
 * New blocks are in the probation queue, and a block that is used again becomes protected. Blocks on probation
 * are evicted first, so a recording that is read once, from start to end, evicts no protected block. An edge
 * passes through the probation queue twice.
 */
export class Memory {
  /** Blocks that fit. */
  readonly slots: number;
  /** Turns of the loads. Each cache that shares this memory is a party. */
  readonly turns: Turns;
  readonly #spareSlabs: Buffer[] = [];
  /** Slabs made so far. */
  #slabCount = 0;
  #lent = 0;
  /** In both, the least recently used block is first. */
  readonly #probation = new Map<string, Block>();
  readonly #protected = new Map<string, Block>();

  /** @param bytes is rounded down to whole blocks, with a minimum of 16 blocks */
  constructor(bytes: number) {
    this.slots = Math.max(16, Math.floor(bytes / blockBytes));
    this.turns = new Turns(Math.min(32, Math.floor(this.slots / (2 * maxLoadBlocks))), { patienceMs });
  }

  /** Blocks that are lent to readers. */
  get lent(): number {
    return this.#lent;
  }

  get(id: string): Block | undefined {
    return this.#protected.get(id) ?? this.#probation.get(id);
  }

  /** Protects a block that is used again. If too many are protected, the least recently used one no longer is. */
  touch(block: Block): void {
    this.#probation.delete(block.id);
    this.#protected.delete(block.id);
    this.#protected.set(block.id, block);
    if (this.#protected.size <= this.slots * protectedShare) return;
    const [id, oldest] = this.#protected.entries().next().value!;
    this.#protected.delete(id);
    this.#probation.set(id, oldest);
  }

  /** Adds a full block. `isUsedTwice`: several readers wanted it while it arrived. */
  keep(block: Block, isUsedTwice: boolean): void {
    this.drop(block.id);
    if (isUsedTwice) this.touch(block);
    else this.#probation.set(block.id, block);
  }

  drop(id: string): void {
    const block = this.get(id);
    this.#probation.delete(id);
    this.#protected.delete(id);
    if (block) this.#reclaim(block);
  }

  /**
   * A slab to fill. Evicts a block if none is spare.
   *
   * @throws Problem `busy` if every block is pinned
   */
  take(): Buffer {
    const spare = this.#spareSlabs.pop();
    if (spare) return spare;
    if (this.#slabCount < this.slots) {
      this.#slabCount++;
      return Buffer.allocUnsafeSlow(blockBytes);
    }
    this.drop(this.#victim());
    return this.#spareSlabs.pop()!; // the slab of the victim, which nobody has pinned
  }

  /** Keeps the slab of a block from being reused until `unpin`, even if the block is dropped. */
  pin(block: Block): void {
    block.pins++;
  }

  unpin(block: Block): void {
    block.pins--;
    if (this.get(block.id) !== block) this.#reclaim(block);
  }

  /** Pins the block for a reader. False if too many are lent: the reader then copies what it needs. */
  lend(block: Block): boolean {
    if (block.readers === 0 && this.#lent >= this.slots / 4) return false;
    if (block.readers++ === 0) this.#lent++;
    this.pin(block);
    return true;
  }

  /** The reader that the block was lent to is done with it. */
  release(block: Block): void {
    if (--block.readers === 0) this.#lent--;
    this.unpin(block);
  }

  #victim(): string {
    for (const [id, block] of this.#probation) {
      if (block.pins > 0) continue;
      if (!block.isEdge || block.wasSpared) return id;
      block.wasSpared = true;
      this.#probation.delete(id);
      this.#probation.set(id, block); // at the end of the queue: this loop may come to it again
    }
    for (const [id, block] of this.#protected) if (block.pins === 0) return id;
    throw new Problem('busy', undefined, { cause: 'every cached block is in use', retryAfter: 1 });
  }

  #reclaim(block: Block): void {
    if (block.pins === 0) this.#spareSlabs.push(block.slab);
  }
}
