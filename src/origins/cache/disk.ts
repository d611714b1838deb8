import { createHash, randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { lstat, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { makeFolder } from '../../settings/folders.ts';
import { type Block, blockBytes } from './block.ts';

const headerBytes = 20;
const magic = 0x50484232; // PHB2
/** Blocks that are written at one time. Others are not stored meanwhile. */
const writesAtOnce = 4;
/** The end of a file's name while it is written. */
const partSuffix = '.part';
const blockName = /^[0-9a-f]{64}$/;
const partName = /^[0-9a-f]{64}\.[0-9a-f-]{36}\.part$/;

/**
 * The blocks on disk: a folder of files, each named by the hash of its block's id. A file is a header of 20
 * bytes (magic, CRC-32 of the bytes, size of the recording, CRC-32 of the header and the name) and the bytes. Nothing
 * here is worth an fsync: a file that is short, altered, unreadable or under the name of another one fails its checksum
 * and counts as a miss.
 */
export class Disk {
  readonly #folder: string;
  /** Files that fit into this process's limit. */
  readonly #slots: number;
  /** Processes that share the folder. */
  readonly #processes: number;
  /**
   * Names of the files that count against this process's limit: found at the start, in any order, or written
   * since. A file that is written or read moves to the end. The first one is evicted first.
   */
  readonly #names = new Set<string>();
  /** Names of the files that are being written, and whether to keep them afterwards. */
  readonly #writing = new Map<string, boolean>();
  /** Random, because another process may be writing the same block. */
  readonly #ownPartSuffix = `.${randomUUID()}${partSuffix}`;

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
    const disk = new Disk(folder, Math.floor(bytes / (blockBytes + headerBytes)), processes);
    await makeFolder(folder);
    for (const name of await ownFiles(folder)) {
      if (blockName.test(name)) disk.#names.add(name);
      else await disk.#delete(name);
    }
    await disk.#shrink(disk.#slots * processes); // the files are those of all processes
    return disk;
  }

  /** Whether the block is here, written by any process. Synchronous: only blocks missing in memory are looked up. */
  has(id: string): boolean {
    const name = nameOf(id);
    return this.#names.has(name) || existsSync(join(this.#folder, name));
  }

  /** Fills the block, without a look at its digest. False if it is not here or its checksum is wrong. */
  async read(block: Block, size: number): Promise<boolean> {
    const name = nameOf(block.id);
    const isCounted = this.#names.delete(name);
    const header = Buffer.alloc(headerBytes);
    const length = await this.#load(name, [header, block.bytes]);
    if (length !== headerBytes + block.length || !header.equals(headerOf(name, block.bytes, size))) {
      await this.#delete(name);
      return false;
    }
    block.arrived = block.length;
    if (isCounted) this.#names.add(name);
    return true;
  }

  /** Stores a copy of the block, unless too many are being written. Never throws: it is only a cache. */
  async write(block: Block, size: number): Promise<void> {
    const name = nameOf(block.id);
    if (this.#writing.size >= writesAtOnce || this.#writing.has(name)) return;
    if (this.#slots === 0 || this.#names.has(name)) return;
    this.#writing.set(name, true);
    try {
      await this.#save(name, [headerOf(name, block.bytes, size), block.bytes]);
      if (this.#writing.get(name)) this.#names.add(name);
      else await this.#delete(name);
      // Every process counts all files that an earlier run left. They are evicted little by little, to keep
      // most of them for now, but fast enough that what this process has written never exceeds its limit.
      const maxEvictions = this.#processes + 1;
      await this.#shrink(Math.max(this.#slots, this.#names.size - maxEvictions));
    } catch {
      await this.#delete(name + this.#ownPartSuffix);
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

  /** Fills `parts` with the file. Returns the number of bytes read: 0 if the file cannot be read. */
  async #load(name: string, parts: Buffer[]): Promise<number> {
    try {
      await using handle = await open(join(this.#folder, name), constants.O_RDONLY | constants.O_NOFOLLOW);
      return (await handle.readv(parts, 0)).bytesRead;
    } catch {
      return 0;
    }
  }

  /** Writes under a temporary name first, so that a file under its own name is whole. */
  async #save(name: string, parts: Buffer[]): Promise<void> {
    const path = join(this.#folder, name);
    await using handle = await open(path + this.#ownPartSuffix, 'wx', 0o600);
    const { bytesWritten } = await handle.writev(parts);
    if (bytesWritten !== parts.reduce((sum, part) => sum + part.length, 0))
      throw new Error('the disk stored only a part of the block');
    await rename(path + this.#ownPartSuffix, path);
  }

  async #delete(name: string): Promise<void> {
    await rm(join(this.#folder, name), { force: true }).catch(() => {});
  }
}

/** Removes the blocks of earlier runs, and the folder if nothing else is in it. Never throws. */
export async function removeBlocks(folder: string): Promise<void> {
  for (const name of await ownFiles(folder)) await rm(join(folder, name), { force: true }).catch(() => {});
  await rmdir(folder).catch(() => {});
}

/** Names of the files that this cache has written into the folder. Whatever else is there belongs to somebody else. */
async function ownFiles(folder: string): Promise<string[]> {
  const isFolder = await lstat(folder).then(
    (stats) => stats.isDirectory(),
    () => false,
  ); // a symlink leads elsewhere
  const entries = isFolder ? await readdir(folder, { withFileTypes: true }).catch(() => []) : [];
  return entries
    .filter((entry) => entry.isFile() && (blockName.test(entry.name) || partName.test(entry.name)))
    .map(({ name }) => name);
}

function nameOf(id: string): string {
  return createHash('sha256').update(id).digest('hex');
}

function headerOf(name: string, bytes: Buffer, size: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(magic, 0);
  header.writeUInt32BE(crc32(bytes), 4);
  header.writeUIntBE(size, 8, 6);
  header.writeUInt32BE(crc32(name, crc32(header.subarray(0, 16))), 16);
  return header;
}
