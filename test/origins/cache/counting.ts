import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../../../src/errors.ts';
import { Buffers } from '../../../src/origins/buffers.ts';
import { FileStore } from '../../../src/origins/file/file.ts';
import type { ByteRange, Origin, Representation, Version } from '../../../src/origins/origin.ts';
import type { Tap } from '../../contracts/origin.ts';

/** An origin of real files that a test can slow down. It lists what was requested of it. */
export class CountingOrigin implements Origin {
  readonly stats: string[] = [];
  readonly reads: ByteRange[] = [];
  bytes = 0;
  open = 0;
  peak = 0;
  isDown = false;
  /** Each chunk waits until this resolves. */
  gate: Promise<void> | undefined;
  readonly buffers = new Buffers();
  readonly #root: string;
  readonly #files: FileStore;

  constructor(t: Tap, root = t.testdir()) {
    this.#root = root;
    this.#files = new FileStore({ root: this.#root, buffers: this.buffers });
    t.teardown(() => this.#files.close());
  }

  async put(name: string, bytes: Uint8Array): Promise<string> {
    const path = join(this.#root, name);
    await mkdir(dirname(path), { recursive: true });
    await sleep(10);
    await writeFile(`${path}.new`, bytes);
    await rename(`${path}.new`, path);
    return name;
  }

  async stat(key: string): Promise<Representation> {
    this.stats.push(key);
    if (this.isDown) throw new Problem('origin_unavailable');
    return this.#files.stat(key);
  }

  async read(
    key: string,
    range: ByteRange,
    version: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    this.reads.push(range);
    if (this.isDown) throw new Problem('origin_unavailable');
    return this.#counted(await this.#files.read(key, range, version, signal), signal);
  }

  async *#counted(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    this.open++;
    this.peak = Math.max(this.peak, this.open);
    const aborted = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
    aborted.catch(() => {});
    try {
      for await (const chunk of body) {
        if (this.gate) await Promise.race([this.gate, aborted]);
        signal.throwIfAborted();
        this.bytes += chunk.length;
        yield chunk;
      }
    } finally {
      this.open--;
    }
  }
}
