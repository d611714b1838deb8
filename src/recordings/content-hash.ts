import { createHash } from 'node:crypto';
import { blockBytes } from '../origins/cache/block.ts';

/** Computes the SHA-256 of audio, and of each of its blocks, in one pass. */
export class ContentHash {
  readonly #whole = createHash('sha256');
  readonly #digests: string[] = [];
  #block = createHash('sha256');
  #blockLength = 0;

  update(chunk: Uint8Array): void {
    this.#whole.update(chunk);
    for (let taken = 0; taken < chunk.length; ) {
      const part = chunk.subarray(taken, taken + blockBytes - this.#blockLength);
      this.#block.update(part);
      this.#blockLength += part.length;
      taken += part.length;
      if (this.#blockLength === blockBytes) this.#endBlock();
    }
  }

  /** Ends the computation. All hexadecimal; `blockDigests` as in `Version`. */
  digest(): { sha256: string; blockDigests: string } {
    if (this.#blockLength > 0) this.#endBlock();
    return { sha256: this.#whole.digest('hex'), blockDigests: this.#digests.join('') };
  }

  #endBlock(): void {
    this.#digests.push(this.#block.digest('hex'));
    this.#block = createHash('sha256');
    this.#blockLength = 0;
  }
}
