import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Changes } from '../db/changes.ts';
import { removeBlocks } from '../origins/cache/disk.ts';
import { blocksFolder, type Origins } from '../origins/open.ts';

const saveEveryMs = 600_000;

/**
 * Removes from the disk cache the audio that was erased while no process used it. The position of the cache in the
 * change feed is in the file `blocks-position`.
 */
export class ErasedBlocks {
  readonly #changes: Changes;
  readonly #path: string;
  /** Subjects of the kind `audio`. */
  readonly #erased: string[];
  #timer: NodeJS.Timeout | undefined;

  private constructor(changes: Changes, path: string, erased: string[]) {
    this.#changes = changes;
    this.#path = path;
    this.#erased = erased;
  }

  /**
   * Call it before the cache is opened. If the change feed no longer has everything since the position, the whole cache
   * is removed.
   *
   * @throws Problem `database_unavailable`
   */
  static async open(changes: Changes, dataDir: string): Promise<ErasedBlocks> {
    const path = join(dataDir, 'blocks-position');
    const position = Number((await readFile(path, 'utf8').catch(() => '')) || 'none');
    const erased = Number.isSafeInteger(position) ? await changes.since(position, 'audio') : undefined;
    if (erased === undefined) await removeBlocks(blocksFolder(dataDir));
    return new ErasedBlocks(changes, path, erased ?? []);
  }

  /** Removes the blocks. From now on, saves the position from time to time, until `stop`. */
  async start(forget: Origins['forget']): Promise<void> {
    for (const subject of this.#erased) await forget(JSON.parse(subject));
    await this.#save();
    this.#timer = setInterval(() => this.#save(), saveEveryMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#save();
  }

  /** Never throws: if it fails, the next start only reads more of the change feed. */
  async #save(): Promise<void> {
    const draft = `${this.#path}.${process.pid}`;
    try {
      await writeFile(draft, String(this.#changes.position), { mode: 0o600 });
      await rename(draft, this.#path);
    } catch {
      // The disk may be full.
    }
  }
}
