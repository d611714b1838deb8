/** A listener that takes longer to drain a chunk is slow, and gets small chunks. */
export const slowAfterMs = 50;
/** Length of a small buffer. */
export const smallBytes = 32 * 1024;
const largeBytes = 512 * 1024;
/** Large buffers that can be in use at one time: 16 MB, for any number of listeners. */
const maxLargeInUse = 32;
/** Small buffers that are kept for reuse. */
const maxSpareSmall = 128;

/**
 * Buffers that reads take and release. They are reused, because the kernel has to map every page of fresh
 * memory: that costs more than the copy into it. A read gets a small buffer if all large ones are in use or its
 * listener is slow, so a thousand slow listeners hold 32 MB in total.
 */
export class Buffers {
  readonly #spareSmall: Buffer[] = [];
  readonly #spareLarge: Buffer[] = [];
  #largeInUse = 0;
  #smallInUse = 0;

  get inUse(): number {
    return this.#largeInUse + this.#smallInUse;
  }

  /** A buffer for a read of `bytes`: 512 KiB if more than 32 KiB are wanted and one is free, or else 32 KiB. */
  take(bytes: number): Buffer {
    if (bytes > smallBytes && this.#largeInUse < maxLargeInUse) {
      this.#largeInUse++;
      return this.#spareLarge.pop() ?? Buffer.allocUnsafeSlow(largeBytes);
    }
    this.#smallInUse++;
    return this.#spareSmall.pop() ?? Buffer.allocUnsafeSlow(smallBytes);
  }

  release(buffer: Buffer): void {
    if (buffer.length === largeBytes) {
      this.#largeInUse--;
      this.#spareLarge.push(buffer);
    } else {
      this.#smallInUse--;
      if (this.#spareSmall.length < maxSpareSmall) this.#spareSmall.push(buffer);
    }
  }

  /** A buffer for the next read, of `bytes`: the same one if its size fits. If not, it is released for another. */
  exchange(buffer: Buffer, bytes: number): Buffer {
    const needsLarge = bytes > smallBytes;
    const isLarge = buffer.length === largeBytes;
    if (needsLarge === isLarge) return buffer;
    this.release(buffer);
    return this.take(bytes);
  }
}
