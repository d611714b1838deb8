import { Problem } from '../../errors.ts';
import { Turns } from '../../turns.ts';

/** Bytes of a block; the last one of a recording is shorter. */
export const blockSize = 1024 * 1024;
/** Blocks that one load brings at most: how far is read ahead of a listener. */
export const runLength = 4;
/** How long a load waits for its turn, in milliseconds; a listener has long given up by then. */
const patienceMs = 60_000;

/** A block of a recording, of which `filled` bytes have arrived so far. */
export class Block {
  readonly id: string;
  readonly length: number;
  /** First or last of its recording: what players read first and come back to (WAV header, MP4 `moov`). */
  readonly isEdge: boolean;
  /** Holds the bytes at its start. */
  readonly slab: Buffer;
  filled = 0;
  /** Passed over once, as an edge, when it was to be pushed out. */
  hadItsChance = false;
  listeners = 0;
  pins = 0;

  constructor(id: string, length: number, isEdge: boolean, slab: Buffer) {
    this.id = id;
    this.length = length;
    this.isEdge = isEdge;
    this.slab = slab;
  }
}

/**
 * The blocks in memory, and the only memory there is for blocks: slabs of 1 MiB that are made once and go
 * round. Of these at most a quarter is lent to listeners and at most half belongs to loads under way, so
 * there always is one to take, and nobody has to wait for a slow listener.
 *
 * What is pushed out first is what was used once: a whole recording read in one go passes through the
 * probation queue and leaves the blocks alone that were used again. An edge block goes through it twice.
 */
export class Memory {
  /** Blocks that fit. */
  readonly slots: number;
  readonly #spare: Buffer[] = [];
  #slabs = 0;
  #lent = 0;
  /** Loads that may run at one time; each cache is a party. */
  readonly turns: Turns;
  readonly #probation = new Map<string, Block>();
  readonly #protected = new Map<string, Block>();

  /** @param bytes is rounded to whole blocks, and to 16 of them where it is less */
  constructor(bytes: number) {
    this.slots = Math.max(16, Math.floor(bytes / blockSize));
    this.turns = new Turns(Math.min(32, Math.floor(this.slots / (2 * runLength))), { patienceMs });
  }

  /** Blocks that listeners hold at this moment. */
  get lent(): number {
    return this.#lent;
  }

  get(id: string): Block | undefined {
    return this.#protected.get(id) ?? this.#probation.get(id);
  }

  /** Notes that a block was used again. */
  touch(block: Block): void {
    this.#probation.delete(block.id);
    this.#protected.delete(block.id);
    this.#protected.set(block.id, block);
    if (this.#protected.size <= this.slots * 0.75) return;
    const [id, oldest] = this.#protected.entries().next().value!;
    this.#protected.delete(id);
    this.#probation.set(id, oldest);
  }

  /** Takes in a block whose bytes are all there. */
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

  /** An empty slab, that of the least deserving block if need be. */
  take(): Buffer {
    const spare = this.#spare.pop();
    if (spare) return spare;
    if (this.#slabs < this.slots) {
      this.#slabs++;
      return Buffer.allocUnsafeSlow(blockSize);
    }
    this.drop(this.#victim());
    return this.#spare.pop()!;
  }

  /** Keeps the bytes of a block where they are until `unpin`. */
  pin(block: Block): void {
    block.pins++;
  }

  unpin(block: Block): void {
    block.pins--;
    if (this.get(block.id) !== block) this.#reclaim(block);
  }

  /** Pins the block for a listener, if not too many are lent; else the listener takes a copy of what it needs. */
  lend(block: Block): boolean {
    if (block.listeners === 0 && this.#lent >= this.slots / 4) return false;
    if (block.listeners++ === 0) this.#lent++;
    this.pin(block);
    return true;
  }

  giveBack(block: Block): void {
    if (--block.listeners === 0) this.#lent--;
    this.unpin(block);
  }

  #victim(): string {
    for (const [id, block] of this.#probation) {
      if (block.pins > 0) continue;
      if (!block.isEdge || block.hadItsChance) return id;
      block.hadItsChance = true;
      this.#probation.delete(id);
      this.#probation.set(id, block); // at the end again, where this loop will meet it
    }
    for (const [id, block] of this.#protected) if (block.pins === 0) return id;
    throw new Problem('busy', undefined, { cause: 'every cached block is in use', retryAfter: 1 });
  }

  #reclaim(block: Block): void {
    if (block.pins === 0) this.#spare.push(block.slab);
  }
}
