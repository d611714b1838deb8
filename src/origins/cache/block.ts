/** Bytes of a block. The last block of a recording is shorter. */
export const blockBytes = 1024 * 1024;

/** A part of a recording, of which the first `filled` bytes have arrived. */
export class Block {
  readonly id: string;
  readonly length: number;
  /** First or last of its recording. Players read these first and return to them (WAV header, MP4 `moov`). */
  readonly isEdge: boolean;
  /** Memory for a whole block. The bytes are at its start. */
  readonly slab: Buffer;
  filled = 0;
  /** An edge is spared the first time that it would be evicted. */
  wasSpared = false;
  /** Readers that it is lent to. */
  readers = 0;
  /** Users of the slab: the load that fills it, readers, a write to disk. It is not reused while there are any. */
  pins = 0;

  constructor(id: string, length: number, isEdge: boolean, slab: Buffer) {
    this.id = id;
    this.length = length;
    this.isEdge = isEdge;
    this.slab = slab;
  }
}
