import { createHash, hash } from 'node:crypto';
import type { OriginName } from '../../unions.ts';

/** Bytes of a block. The last block of a recording is shorter. The catalog has digests of blocks of this length. */
export const blockBytes = 1024 * 1024;

/** The blocks of one version of a recording. */
export interface Blocks {
  origin: OriginName;
  /** The id of a block is this and the block's index. It is a hash: a key may be a URL with a secret in it. */
  idPrefix: string;
  /** Of the recording, in bytes. */
  size: number;
}

export function blocksOf(origin: OriginName, key: string, etag: string, size: number): Blocks {
  return { origin, idPrefix: `${hash('sha256', JSON.stringify([origin, key, etag]))}/`, size };
}

/** A part of a recording, of which the first `arrived` bytes are there. */
export class Block {
  readonly id: string;
  readonly length: number;
  /** First or last of its recording. Players read these first and return to them (WAV header, MP4 `moov`). */
  readonly isEdge: boolean;
  /** Memory for a whole block. The bytes are at its start. */
  readonly slab: Buffer;
  arrived = 0;
  /** Bytes that readers may use. If there is a digest: none before `verify`. Otherwise: those that have arrived. */
  filled = 0;
  /** An edge is spared the first time that it would be evicted. */
  wasSpared = false;
  /** Readers that it is lent to. */
  readers = 0;
  /** Users of the slab: the load that fills it, readers, a write to disk. It is not reused while there are any. */
  pins = 0;
  /** SHA-256 of the whole block, hexadecimal. Undefined if it is not known. */
  readonly #digest: string | undefined;

  constructor(id: string, length: number, isEdge: boolean, slab: Buffer, digest?: string) {
    this.id = id;
    this.length = length;
    this.isEdge = isEdge;
    this.slab = slab;
    this.#digest = digest;
  }

  get bytes(): Buffer {
    return this.slab.subarray(0, this.length);
  }

  /** Copies as many of the bytes as are still missing. @returns how many */
  append(bytes: Uint8Array): number {
    const part = bytes.subarray(0, this.length - this.arrived);
    this.slab.set(part, this.arrived);
    this.arrived += part.length;
    if (this.#digest === undefined) this.filled = this.arrived;
    return part.length;
  }

  /** Whether the bytes of a whole block are right. Readers may use them then. */
  verify(): boolean {
    const isRight =
      this.#digest === undefined || createHash('sha256').update(this.bytes).digest('hex') === this.#digest;
    if (isRight) this.filled = this.length;
    return isRight;
  }
}
