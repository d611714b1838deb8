/** How long a chunk may take to drain, in milliseconds. Beyond that its listener is slow and gets small chunks. */
export const slowAfterMs = 50;
export const smallBytes = 32 * 1024;
const largeBytes = 512 * 1024;
/** Large buffers in use at one time: 16 MB at most, for any number of listeners. */
const largeLimit = 32;
/** Small buffers kept for reuse. */
const smallKept = 128;

/**
 * Buffers that reads take and release. Fresh memory costs more than the copy into it, because the kernel has
 * to map every page first, so the large buffers are made once and reused. A read gets a small buffer if all
 * large ones are in use or its listener is slow: a thousand slow listeners hold 32 MB between them.
 */
export class Buffers {
  readonly #small: Buffer[] = [];
  readonly #large: Buffer[] = [];
  #largeInUse = 0;
  #smallInUse = 0;

  get inUse(): number {
    return this.#largeInUse + this.#smallInUse;
  }

  /** A buffer for a read of `bytes`: 32 KiB, or 512 KiB if more is wanted and one is free. */
  take(bytes: number): Buffer {
    if (bytes > smallBytes && this.#largeInUse < largeLimit) {
      this.#largeInUse++;
      return this.#large.pop() ?? Buffer.allocUnsafeSlow(largeBytes);
    }
    this.#smallInUse++;
    return this.#small.pop() ?? Buffer.allocUnsafeSlow(smallBytes);
  }

  release(buffer: Buffer): void {
    if (buffer.length === largeBytes) {
      this.#largeInUse--;
      this.#large.push(buffer);
    } else {
      this.#smallInUse--;
      if (this.#small.length < smallKept) this.#small.push(buffer);
    }
  }

  /** A buffer for a further read of `bytes`: the same one if its size is right, and otherwise another in its place. */
  exchange(buffer: Buffer, bytes: number): Buffer {
    if (bytes > smallBytes === buffer.length > smallBytes) return buffer;
    this.release(buffer);
    return this.take(bytes);
  }
}
