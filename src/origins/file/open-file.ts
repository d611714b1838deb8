import { fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Representation } from '../origin.ts';

/** What a strong validator is made of, from `stat` with `bigint`. */
interface Stats {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly mtime: Date;
}

/**
 * The validator contains only what a faithful copy keeps. Device, inode and ctime are not in it: they change when
 * the folder is restored from a backup, moved or `chown`ed, though the audio stays the same.
 */
export function representationOf({ size, mtimeNs, mtime }: Stats): Representation {
  return { size: Number(size), etag: `"${size.toString(36)}-${mtimeNs.toString(36)}"`, lastModified: mtime };
}

/** A file that is kept open, as it was when it was opened. */
export class OpenFile {
  readonly handle: FileHandle;
  readonly representation: Representation;
  #readers = 0;
  #usedAt = 0;
  #isClosing = false;

  constructor(handle: FileHandle, representation: Representation) {
    this.handle = handle;
    this.representation = representation;
  }

  /**
   * Whether the file was neither removed nor written to since it was opened. Every read calls this. It is
   * synchronous, because two microseconds here cost less than a trip to the thread pool.
   */
  isUnchanged(): boolean {
    const now = fstatSync(this.handle.fd, { bigint: true });
    return now.nlink > 0n && representationOf(now).etag === this.representation.etag;
  }

  /** @param timeMs as `performance.now()` gives it */
  isIdleSince(timeMs: number): boolean {
    return this.#readers === 0 && this.#usedAt < timeMs;
  }

  borrow(): void {
    this.#readers++;
  }

  release(): void {
    this.#readers--;
    this.#usedAt = performance.now();
    this.#closeIfUnused();
  }

  /** Closes the file now, or when its last reader releases it. */
  close(): void {
    this.#isClosing = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.#isClosing && this.#readers === 0) this.handle.close().catch(() => {});
  }
}
