import { createHash, randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type Block, blockBytes } from './block.ts';

const headerSize = 20;
const magic = 0x50484231;
/** Blocks that are written at one time. A block that comes meanwhile is not stored. */
const writesAtOnce = 4;
const partial = '.part';

/**
 * The blocks on disk: a folder of files, each named by the hash of its block's id. A file is a header of 20
 * bytes (magic, CRC-32 of the bytes, size of the recording, CRC-32 of the header) and the bytes. Nothing here
 * is worth an fsync: a file that is short, altered or unreadable fails its checksum and counts as a miss.
 */
export class Disk {
  readonly #folder: string;
  readonly #slots: number;
  /** Processes that share the folder. */
  readonly #processes: number;
  /**
   * Names of the files that count against this process: found at the start, or written since. The files
   * found come first, in any order. The others follow, least recently used first.
   */
  readonly #names = new Set<string>();
  /** Names of the files that are being written, and whether to keep them afterwards. */
  readonly #writing = new Map<string, boolean>();
  /** The end of a file's name until the file is whole. Another process may be writing the same block. */
  readonly #unfinished = `.${randomUUID()}${partial}`;

  private constructor(folder: string, slots: number, processes: number) {
    this.#folder = folder;
    this.#slots = slots;
    this.#processes = processes;
  }

  /**
   * Opens the folder with what an earlier run left in it. Processes may share a folder: each reads what any
   * of them wrote, each has its own limit, and a block that another one removed is a miss.
   *
   * @param bytes the most that this process stores; each block counts as a whole one
   * @param processes that share the folder, each with the same limit
   */
  static async open(folder: string, bytes: number, processes = 1): Promise<Disk> {
    const disk = new Disk(folder, Math.floor(bytes / (blockBytes + headerSize)), processes);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(folder)) {
      if (/^[0-9a-f]{64}$/.test(name)) disk.#names.add(name);
      else if (name.endsWith(partial)) await disk.#delete(name);
    }
    await disk.#shrink(disk.#slots * processes);
    return disk;
  }

  /** Whether the block is here, written by any process. Synchronous: it is called for blocks missing in memory only. */
  has(id: string): boolean {
    const name = nameOf(id);
    return this.#names.has(name) || existsSync(join(this.#folder, name));
  }

  /** Fills the block. False if it is not here or is damaged. */
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

  /** Stores a copy of the block, unless too many are being written. Never throws: it is only a cache. */
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
      // Each process counts what an earlier run left, so it evicts that little by little: just enough that
      // the blocks it has written itself never exceed its limit.
      await this.#shrink(Math.max(this.#slots, this.#names.size - this.#processes - 1));
    } catch {
      await this.#delete(name + this.#unfinished);
    } finally {
      this.#writing.delete(name);
    }
  }

  /** Removes the block, even if another process wrote it or it is still being written. */
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

  /** Bytes that were read into `parts`; 0 if the file cannot be read. */
  async #load(name: string, parts: Buffer[]): Promise<number> {
    try {
      await using handle = await open(join(this.#folder, name), constants.O_RDONLY | constants.O_NOFOLLOW);
      return (await handle.readv(parts, 0)).bytesRead;
    } catch {
      return 0;
    }
  }

  /** Writes under another name first: a file under its own name is whole. */
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
