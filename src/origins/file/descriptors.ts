import type { OpenFile } from './open-file.ts';

/** How long a file stays open without a reader. Its bytes stay on disk as long, even if another process removed it. */
const idleLimitMs = 15_000;

/** Files kept open between reads. Beyond the limit, the least recently used one is closed, once it has no reader. */
export class Descriptors {
  readonly #open: (path: string) => Promise<OpenFile>;
  readonly #limit: number;
  readonly #files = new Map<string, Promise<OpenFile>>();
  readonly #sweeper: NodeJS.Timeout;

  constructor(open: (path: string) => Promise<OpenFile>, limit = 256) {
    this.#open = open;
    this.#limit = limit;
    this.#sweeper = setInterval(() => this.#closeIdle(), idleLimitMs / 3).unref();
  }

  /** The file, opened if it is not open. It stays open at least until it is released. @throws what opening it throws */
  async borrow(path: string): Promise<OpenFile> {
    const pending = this.#files.get(path) ?? this.#open(path);
    this.#files.delete(path);
    this.#files.set(path, pending);
    if (this.#files.size > this.#limit) this.forget(this.#files.keys().next().value!);
    try {
      const file = await pending;
      file.borrow();
      return file;
    } catch (error) {
      if (this.#files.get(path) === pending) this.#files.delete(path);
      throw error;
    }
  }

  /** Closes the file once it has no reader. The next reader opens the path anew. */
  forget(path: string): void {
    const pending = this.#files.get(path);
    this.#files.delete(path);
    pending?.then(
      (file) => file.close(),
      () => {}, // it could not be opened: its borrower has the error
    );
  }

  /** Closes every file, each when its last reader releases it. */
  close(): void {
    clearInterval(this.#sweeper);
    for (const path of this.#files.keys()) this.forget(path);
  }

  #closeIdle(): void {
    const usedBefore = performance.now() - idleLimitMs;
    for (const [path, pending] of this.#files) {
      pending.then(
        (file) => {
          if (file.isIdleSince(usedBefore) && this.#files.get(path) === pending) this.forget(path);
        },
        () => {},
      );
    }
  }
}
