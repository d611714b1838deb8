/** Milliseconds a chunk may take to drain before its listener counts as slow, and gets small chunks. */
export const slowAfter = 50;
export const smallSize = 32 * 1024;
const largeSize = 512 * 1024;
/** Large buffers that are out at one time: 16 MB at most, however many listen. */
const largeLimit = 32;
/** Small buffers kept for the next read once they come back. */
const smallKept = 128;

/**
 * Buffers that reads borrow and give back. Fresh memory costs more than the copy into it (every page is
 * faulted in first), so large ones are made once and go round. When all of those are out, or the
 * borrower is slow, it gets a small one: a thousand slow listeners then hold 32 MB between them.
 */
export class Buffers {
  readonly #small: Buffer[] = [];
  readonly #large: Buffer[] = [];
  #largeOut = 0;
  #smallOut = 0;

  /** Buffers that are out. */
  get lent(): number {
    return this.#largeOut + this.#smallOut;
  }

  /** A buffer for a read of `bytes`: 32 KiB, or 512 KiB where more is wanted and there is one. */
  take(bytes: number): Buffer {
    if (bytes > smallSize && this.#largeOut < largeLimit) {
      this.#largeOut++;
      return this.#large.pop() ?? Buffer.allocUnsafeSlow(largeSize);
    }
    this.#smallOut++;
    return this.#small.pop() ?? Buffer.allocUnsafeSlow(smallSize);
  }

  give(buffer: Buffer): void {
    if (buffer.length === largeSize) {
      this.#largeOut--;
      this.#large.push(buffer);
    } else {
      this.#smallOut--;
      if (this.#small.length < smallKept) this.#small.push(buffer);
    }
  }

  /** The buffer for a further read of `bytes`: the one at hand where it has the right size, else another for it. */
  exchange(buffer: Buffer, bytes: number): Buffer {
    if (bytes > smallSize === buffer.length > smallSize) return buffer;
    this.give(buffer);
    return this.take(bytes);
  }
}
