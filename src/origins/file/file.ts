import { constants } from 'node:fs';
import { link, lstat, mkdir, open, opendir, realpath, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { isProblem, Problem, type ProblemCode } from '../../errors.ts';
import { makeFolder } from '../../settings/folders.ts';
import { Buffers, slowAfterMs, smallBytes } from '../buffers.ts';
import type { ByteRange, Representation, Store, Version } from '../origin.ts';
import { Descriptors } from './descriptors.ts';
import { OpenFile, representationOf } from './open-file.ts';

/** The end of a file's name while it is written. No key can end like this. */
const partSuffix = '.part';
/**
 * Free space that recordings leave on their disk. If they filled it, a database on the same disk could not even erase a
 * recording.
 */
const reservedBytes = 64 * 1024 * 1024;
/** A write looks at the free space again after so many bytes. */
const bytesBetweenLooks = 1024 * 1024;
const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;

/**
 * Recordings as files in one folder. A key is a relative path with `/` between its segments.
 *
 * No key leads out of the folder, neither by `..` nor through a symlink: the real path of every file is checked
 * once the file is open. Only someone who renames files in the folder at the same moment can deceive this check,
 * and they could put any file there anyway.
 *
 * `stat` and `read` never create the folder.
 */
export class FileStore implements Store {
  readonly #root: string;
  readonly #buffers: Buffers;
  readonly #descriptors: Descriptors;

  /** @param options.buffers may be shared with other origins, so that their limits hold for the process */
  constructor({ root, buffers = new Buffers() }: { root: string; buffers?: Buffers }) {
    this.#root = resolve(root);
    this.#buffers = buffers;
    this.#descriptors = new Descriptors((path) => this.#open(path));
  }

  async stat(key: string): Promise<Representation> {
    const path = this.#pathOf(key);
    const there = await lstat(path, { bigint: true }).catch(fail); // a file that is kept open may have been replaced
    const { etag } = representationOf(there);
    const file = await this.#borrow(path, etag);
    file.release();
    return file.representation;
  }

  async read(
    key: string,
    range: ByteRange,
    { etag }: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    const path = this.#pathOf(key);
    const file = await this.#borrow(path, etag); // throws now, before the caller responds; #chunks borrows again
    file.release();
    return this.#chunks(path, range, etag, signal);
  }

  /** Borrows the file when the first chunk is requested: a body that nobody reads holds nothing. */
  async *#chunks(
    path: string,
    range: ByteRange,
    etag: string,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const file = await this.#borrow(path, etag);
    let remaining = range.last - range.first + 1;
    let buffer = this.#buffers.take(remaining);
    try {
      while (remaining > 0) {
        signal.throwIfAborted();
        const wanted = Math.min(buffer.length, remaining);
        const { bytesRead } = await file.handle
          .read(buffer, 0, wanted, range.last + 1 - remaining)
          .catch(fail);
        if (bytesRead < wanted)
          throw new Problem('origin_failed', undefined, { cause: `${path} ends early` });
        if (!file.isUnchanged()) throw new Problem('version_changed');
        signal.throwIfAborted();
        remaining -= wanted;
        const handedAt = performance.now();
        yield buffer.subarray(0, wanted);
        const isSlow = performance.now() - handedAt > slowAfterMs;
        buffer = this.#buffers.exchange(buffer, isSlow ? smallBytes : remaining);
      }
    } finally {
      this.#buffers.release(buffer);
      file.release();
    }
  }

  /** Only one write can create the temporary name, so there are never two writes of a key at one time. */
  async write(key: string, bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Representation> {
    const path = this.#pathOf(key);
    await this.#makeFolder(dirname(path));
    await this.#requireRoom();
    let bytesSinceLook = 0;
    const handle = await open(path + partSuffix, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600).catch(fail);
    try {
      if (await isThere(path)) throw keyTaken();
      for await (const chunk of bytes) {
        signal?.throwIfAborted();
        bytesSinceLook += chunk.length;
        if (bytesSinceLook > bytesBetweenLooks) {
          await this.#requireRoom();
          bytesSinceLook = 0;
        }
        await handle.writeFile(chunk).catch(fail);
      }
      signal?.throwIfAborted();
      await handle.sync().catch(fail);
      const stats = await handle.stat({ bigint: true });
      await rename(path + partSuffix, path).catch(fail);
      await sync(dirname(path));
      return representationOf(stats);
    } finally {
      await handle.close();
      await rm(path + partSuffix, { force: true });
    }
  }

  /**
   * Gives a file of another folder the same key in this one, without a copy of its bytes.
   *
   * @returns false if the file system cannot do this, or the folders are on different ones
   * @throws Problem `conflict` if the key is taken, `not_found`, `version_changed` if the file is not `version`
   */
  async link(key: string, from: FileStore, version: Version): Promise<boolean> {
    const path = this.#pathOf(key);
    await this.#makeFolder(dirname(path));
    try {
      await link(from.#pathOf(key), path);
    } catch (error) {
      if (cannotLink.has((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw fail(error);
    }
    await sync(dirname(path));
    const linked = await this.stat(key);
    if (linked.etag === version.etag) return true;
    await this.remove(key);
    throw new Problem('version_changed');
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    try {
      await this.#denySymlinks(dirname(path));
      for (const name of [path, path + partSuffix]) await rm(name, { force: true }).catch(fail);
      await sync(dirname(path));
    } catch (error) {
      if (!isProblem(error, 'not_found')) throw error;
    } finally {
      this.#descriptors.forget(path);
    }
  }

  /** Closes the files that are kept open. Reads that run go on to their end. */
  close(): void {
    this.#descriptors.close();
  }

  /** The keys of all files, in any order, without those of writes under way. */
  async *keys(): AsyncGenerator<string> {
    const entries = await opendir(this.#root, { recursive: true }).catch((error) => {
      if (error.code !== 'ENOENT') throw error; // nothing was stored yet
    });
    for await (const entry of entries ?? []) {
      const isWhole = entry.isFile() && !entry.name.endsWith(partSuffix);
      if (isWhole) yield relative(this.#root, join(entry.parentPath, entry.name)).replaceAll(sep, '/');
    }
  }

  /** The open file. @throws Problem `version_changed` if it is not the version that `etag` names */
  async #borrow(path: string, etag: string): Promise<OpenFile> {
    const file = await this.#descriptors.borrow(path);
    if (file.representation.etag === etag && file.isUnchanged()) return file;
    file.release();
    this.#descriptors.forget(path);

    // The file that was open may have been replaced, and the wanted version may be the new file.
    const successor = await this.#descriptors.borrow(path);
    if (successor.representation.etag === etag) return successor;
    successor.release();
    throw new Problem('version_changed');
  }

  /** Without O_NONBLOCK, opening a named pipe would wait for a writer and block a thread. */
  async #open(path: string): Promise<OpenFile> {
    const handle = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK).catch(fail);
    try {
      await this.#denySymlinks(dirname(path));
      const [opened, there] = await Promise.all([
        handle.stat({ bigint: true }),
        lstat(path, { bigint: true }),
      ]);
      if (!opened.isFile() || opened.ino !== there.ino || opened.dev !== there.dev)
        throw new Problem('not_found');
      return new OpenFile(handle, representationOf(opened));
    } catch (error) {
      await handle.close();
      return fail(error);
    }
  }

  async #denySymlinks(folder: string): Promise<void> {
    const [root, real] = await Promise.all([realpath(this.#root), realpath(folder)]).catch(fail);
    if (real !== join(root, relative(this.#root, folder))) throw new Problem('not_found');
  }

  /** @throws Problem `storage_full` if only the reserved space is left */
  async #requireRoom(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#root).catch(fail);
    if (bavail * bsize < reservedBytes) throw new Problem('storage_full');
  }

  /** Creates level by level, and checks each: a recursive mkdir would follow a symlink. */
  async #makeFolder(folder: string): Promise<void> {
    await makeFolder(this.#root).catch(fail);
    const segments = relative(this.#root, folder).split(sep).filter(Boolean);
    for (let depth = 1; depth <= segments.length; depth++) {
      const level = join(this.#root, ...segments.slice(0, depth));
      await mkdir(level, 0o700).then(() => sync(dirname(level)), unlessExists);
      if (!(await lstat(level).catch(fail)).isDirectory()) throw new Problem('not_found');
    }
  }

  #pathOf(key: string): string {
    const segments = key.split('/');
    const isSafe =
      key.length <= 1024 &&
      key.isWellFormed() &&
      !/[\0\\]/.test(key) &&
      !key.endsWith(partSuffix) &&
      segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..');
    if (!isSafe) throw new Problem('not_found');
    return join(this.#root, ...segments);
  }
}

/** Makes the names in a folder durable. */
async function sync(folder: string): Promise<void> {
  const handle = await open(folder, O_RDONLY).catch(fail);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

function keyTaken(cause?: unknown): Problem {
  return new Problem('conflict', 'A recording is already stored under this key.', { cause });
}

function unlessExists(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') fail(error);
}

/** Another file system, one without hard links, a limit of links, and files of another user. */
const cannotLink = new Set(['EXDEV', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EPERM', 'EACCES']);

const codes: Record<string, ProblemCode> = {
  ENOENT: 'not_found',
  ENOTDIR: 'not_found',
  EISDIR: 'not_found',
  ERR_FS_EISDIR: 'not_found',
  ELOOP: 'not_found',
  ENAMETOOLONG: 'not_found',
  ENXIO: 'not_found',
  ENOSPC: 'storage_full',
  EDQUOT: 'storage_full',
};

/** Throws an error of the file system as a Problem. */
function fail(error: unknown): never {
  if (isProblem(error)) throw error;
  const { code = '' } = error as NodeJS.ErrnoException;
  if (code === 'EEXIST') throw keyTaken(error);
  throw new Problem(codes[code] ?? 'origin_unavailable', undefined, { cause: error });
}
