import { fstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Representation } from '../origin.ts';

/** Milliseconds. A descriptor holds the bytes of a file that another process removed: none is kept idle for longer. */
const idleLimit = 15_000;

/** What a strong validator is made of, as `stat` with `bigint` gives it. */
interface Stats {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly mtime: Date;
}

/**
 * Only what a faithful copy keeps goes into the validator. Device, inode and ctime change when the folder
 * is restored from a backup, moved or `chown`ed, and no byte of the audio does.
 */
export function representationOf({ size, mtimeNs, mtime }: Stats): Representation {
  return { size: Number(size), etag: `"${size.toString(36)}-${mtimeNs.toString(36)}"`, lastModified: mtime };
}

export class OpenFile {
  readonly handle: FileHandle;
  readonly representation: Representation;
  readers = 0;
  usedAt = 0;
  forgotten = false;

  constructor(handle: FileHandle, representation: Representation) {
    this.handle = handle;
    this.representation = representation;
  }

  /**
   * Whether the file still is the one that was opened: not removed, not written to since. Asked before
   * and after every read; two microseconds here cost less than a trip to a thread.
   */
  isUnchanged(): boolean {
    const now = fstatSync(this.handle.fd, { bigint: true });
    return now.nlink > 0n && representationOf(now).etag === this.representation.etag;
  }
}

/** Files kept open between reads. The least recently used is closed first, and never under a reader. */
export class Descriptors {
  readonly #open: (path: string) => Promise<OpenFile>;
  readonly #limit: number;
  readonly #files = new Map<string, Promise<OpenFile>>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(open: (path: string) => Promise<OpenFile>, limit = 256) {
    this.#open = open;
    this.#limit = limit;
    this.#sweeper = setInterval(() => this.#closeIdle(), idleLimit / 3).unref();
  }

  /** The open file, which stays open at least until it is given back. Throws what opening it throws. */
  async borrow(path: string): Promise<OpenFile> {
    const pending = this.#files.get(path) ?? this.#open(path);
    this.#files.delete(path);
    this.#files.set(path, pending);
    if (this.#files.size > this.#limit) this.forget(this.#files.keys().next().value!);
    try {
      const file = await pending;
      file.readers++;
      return file;
    } catch (error) {
      if (this.#files.get(path) === pending) this.#files.delete(path);
      throw error;
    }
  }

  giveBack(file: OpenFile): void {
    file.readers--;
    file.usedAt = performance.now();
    closeIfDone(file);
  }

  /** Opens the path anew next time: what is there now is gone, or is another file. */
  forget(path: string): void {
    const pending = this.#files.get(path);
    this.#files.delete(path);
    pending?.then(
      (file) => {
        file.forgotten = true;
        closeIfDone(file);
      },
      () => {}, // a file that could not be opened need not be closed; its borrower has the error
    );
  }

  /** Closes every file, those being read when their readers are done. */
  close(): void {
    clearInterval(this.#sweeper);
    for (const path of this.#files.keys()) this.forget(path);
  }

  #closeIdle(): void {
    const before = performance.now() - idleLimit;
    for (const [path, pending] of this.#files) {
      pending.then(
        (file) =>
          file.readers === 0 &&
          file.usedAt < before &&
          this.#files.get(path) === pending &&
          this.forget(path),
        () => {},
      );
    }
  }
}

function closeIfDone(file: OpenFile): void {
  if (file.forgotten && file.readers === 0) file.handle.close().catch(() => {});
}
