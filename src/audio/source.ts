import { open, stat } from 'node:fs/promises';
import { Problem } from '../errors.ts';

/** Random access to the bytes of one recording, wherever it is. */
export interface Source {
  /** Bytes. */
  readonly size: number;
  /** Exactly `length` bytes. The range must be within `size`. The bytes belong to the caller. */
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens a file on this machine.
 *
 * @throws Problem `not_found` if there is no such file. Reading throws `version_changed` if the file shrinks.
 */
export async function openFile(path: string): Promise<Source> {
  const fail = (cause: unknown): never => {
    throw new Problem('not_found', `${path} cannot be read.`, { cause });
  };
  const stats = await stat(path).catch(fail);
  // Opening a named pipe would wait forever for a writer.
  if (!stats.isFile()) throw new Problem('not_found', `${path} is not a file.`);
  const file = await open(path).catch(fail);
  return {
    size: stats.size,
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
