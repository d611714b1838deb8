import { createHash, randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Block, blockSize } from './memory.ts';

const headerSize = 20;
const magic = 0x50484231;
/** Blocks being written at one time; what comes in the meantime is not kept. */
const writesAtOnce = 4;
const partial = '.part';

/**
 * The blocks on disk: a folder of files, named by the hash of their block's id. Each file is a header of
 * 20 bytes (magic, CRC-32 of the bytes, size of the recording, CRC-32 of the header) and the bytes. Nothing
 * here is worth an fsync: what is cut short, altered or unreadable fails its checksum and counts as a miss.
 */
export class Disk {
  readonly #folder: string;
  readonly #slots: number;
  /** Processes that share the folder. */
  readonly #processes: number;
  /**
   * Names of the files that count here, found at the start or written since. The least recently used come first,
   * and before them what was found, in no particular order.
   */
  readonly #names = new Set<string>();
  /** Names of what is being written, and whether it is still to be kept. */
  readonly #writing = new Map<string, boolean>();
  /** What the names of files end with until they are whole; another process may be at the same block. */
  readonly #unfinished = `.${randomUUID()}${partial}`;

  private constructor(folder: string, slots: number, processes: number) {
    this.#folder = folder;
    this.#slots = slots;
    this.#processes = processes;
  }

  /**
   * Opens the folder, with what an earlier run left in it. Processes may share it: each reads what any has
   * written, a block that another one removed is a miss, and each keeps to its own limit.
   *
   * @param bytes the most that this process keeps; each block counts as a whole one
   * @param processes that share the folder, each with as much to keep
   */
  static async open(folder: string, bytes: number, processes = 1): Promise<Disk> {
    const disk = new Disk(folder, Math.floor(bytes / (blockSize + headerSize)), processes);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      if (/^[0-9a-f]{64}$/.test(name)) disk.#names.add(name);
      else if (name.endsWith(partial)) await disk.#delete(name);
    }
    await disk.#shrink(disk.#slots * processes);
    return disk;
  }

  /** Whether the block is here, whichever process wrote it. Looked up at once: it is asked before a request only. */
  has(id: string): boolean {
    const name = nameOf(id);
    return this.#names.has(name) || existsSync(join(this.#folder, name));
  }

  /** Fills the block, if it is here and unharmed. */
  async read(block: Block, size: number): Promise<boolean> {
    const name = nameOf(block.id);
    const counts = this.#names.delete(name);
    const header = Buffer.alloc(headerSize);
    const bytes = block.slab.subarray(0, block.length);
    const length = await this.#load(name, [header, bytes]);
    if (length !== headerSize + block.length || !header.equals(headerOf(bytes, size))) {
      await this.#delete(name);
      return false;
    }
    block.filled = block.length;
    if (counts) this.#names.add(name);
    return true;
  }

  /** Keeps a copy of the block, unless there is too much to write already. Never fails: it is only a cache. */
  async write(block: Block, size: number): Promise<void> {
    const name = nameOf(block.id);
    if (this.#writing.size >= writesAtOnce || this.#writing.has(name)) return;
    if (this.#slots === 0 || this.#names.has(name)) return;
    this.#writing.set(name, true);
    try {
      const bytes = block.slab.subarray(0, block.length);
      await this.#save(name, [headerOf(bytes, size), bytes]);
      if (this.#writing.get(name)) this.#names.add(name);
      else await this.#delete(name);
      // What an earlier run left counts in each process, and makes way little by little: enough at a time that
      // the blocks written here never are more than this process may keep.
      await this.#shrink(Math.max(this.#slots, this.#names.size - this.#processes - 1));
    } catch {
      await this.#delete(name + this.#unfinished);
    } finally {
      this.#writing.delete(name);
    }
  }

  /** Removes the block, also where another process wrote it, or it is only being written. */
  async remove(id: string): Promise<void> {
    const name = nameOf(id);
    this.#names.delete(name);
    if (this.#writing.has(name)) this.#writing.set(name, false);
    await this.#delete(name);
  }

  async #shrink(limit: number): Promise<void> {
    for (const name of this.#names) {
      if (this.#names.size <= limit) return;
      this.#names.delete(name);
      await this.#delete(name);
    }
  }

  /** Bytes that were read into `parts`; 0 where there is no such file. */
  async #load(name: string, parts: Buffer[]): Promise<number> {
    try {
      await using handle = await open(join(this.#folder, name), constants.O_RDONLY | constants.O_NOFOLLOW);
      return (await handle.readv(parts, 0)).bytesRead;
    } catch {
      return 0;
    }
  }

  /** Under another name first, so that a name stands for a whole file. */
  async #save(name: string, parts: Buffer[]): Promise<void> {
    const path = join(this.#folder, name);
    await using handle = await open(path + this.#unfinished, 'wx', 0o600);
    const { bytesWritten } = await handle.writev(parts);
    if (bytesWritten !== parts.reduce((sum, part) => sum + part.length, 0))
      throw new Error('the disk took only a part');
    await rename(path + this.#unfinished, path);
  }

  async #delete(name: string): Promise<void> {
    await rm(join(this.#folder, name), { force: true }).catch(() => {});
  }
}

function nameOf(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}

function headerOf(bytes: Buffer, size: number): Buffer {
  const header = Buffer.alloc(headerSize);
  header.writeUInt32BE(magic, 0);
  header.writeUInt32BE(crc32(bytes), 4);
  header.writeUIntBE(size, 8, 6);
  header.writeUInt32BE(crc32(header.subarray(0, 16)), 16);
  return header;
}
