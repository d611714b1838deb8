import { open, stat } from 'node:fs/promises';
import { Problem } from '../errors.ts';

/** Random access to one recording, wherever it is. */
export interface Source {
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes, which lie within `size` and belong to the caller. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens a file of this machine.
 *
 * @throws Problem `not_found` where there is no such file; reading throws `version_changed` where it shrinks
 */
export async function openFile(path: string): Promise<Source> {
  const fail = (cause: unknown): never => {
    throw new Problem('not_found', `${path} cannot be read.`, { cause });
  };
  // A pipe would wait for its writer for ever as soon as it is opened.
  const { size, ...kind } = await stat(path).then(
    (found) => ({ size: found.size, file: found.isFile() }),
    fail,
  );
  if (!kind.file) throw new Problem('not_found', `${path} is not a file.`);
  const file = await open(path).catch(fail);
  return {
    size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      for (let filled = 0; filled < length; ) {
        const { bytesRead } = await file.read(bytes, filled, length - filled, offset + filled);
        if (bytesRead === 0) throw new Problem('version_changed');
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => file.close(),
  };
}
