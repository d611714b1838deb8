import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { reasonOf } from './probe.ts';

/** At most `limit` bytes of the body, as text. */
export async function readText(response: IncomingMessage, limit: number): Promise<string> {
  let text = '';
  for await (const chunk of response) {
    text += (chunk as Buffer).toString('latin1');
    if (text.length >= limit) break;
  }
  return Buffer.from(text.slice(0, limit), 'latin1').toString();
}

/** The size of the body in bytes. Counting stops a little above `limit`. */
export async function countBytes(response: IncomingMessage, limit: number): Promise<number> {
  let size = 0;
  for await (const chunk of response) {
    size += (chunk as Buffer).length;
    if (size > limit) break;
  }
  return size;
}

/**
 * Writes the body into `file`.
 *
 * @returns its size in bytes, and `broken` if it is not whole: the reason
 */
export async function spool(
  response: IncomingMessage,
  deadline: AbortSignal,
  file: FileHandle,
  limit: number,
): Promise<{ size: number; broken: string | undefined }> {
  let size = 0;
  try {
    for await (const chunk of response) {
      size += (chunk as Buffer).length;
      if (size > limit) return { size, broken: `larger than the limit of ${limit} bytes` };
      await file.write(chunk as Buffer);
    }
  } catch (error) {
    return { size, broken: `broken off after ${size} bytes: ${reasonOf(error, deadline)}` };
  }
  return { size, broken: size === 0 ? 'empty' : undefined };
}

/**
 * Compares the body with the bytes `first` to `last` of `file`.
 *
 * @returns the difference, or undefined if they are the same
 */
export async function differenceFrom(
  response: IncomingMessage,
  file: FileHandle,
  { first, last }: { first: number; last: number },
): Promise<string | undefined> {
  let position = first;
  for await (const data of response) {
    const chunk = data as Buffer;
    if (position + chunk.length > last + 1) return 'more bytes than the range has';
    const { buffer } = await file.read(Buffer.alloc(chunk.length), 0, chunk.length, position);
    if (!chunk.equals(buffer))
      return `other bytes than the whole, within ${chunk.length} bytes from position ${position}`;
    position += chunk.length;
  }
  return position === last + 1 ? undefined : `${last + 1 - position} bytes too few`;
}
