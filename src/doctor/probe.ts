import type { FileHandle } from 'node:fs/promises';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';

export interface Asked {
  method?: string;
  headers?: Record<string, string>;
  /** Milliseconds for the whole exchange, body included. */
  timeoutMs: number;
}

/**
 * Sends one request on a connection of its own and shows the answer as it is: no redirect is followed,
 * nothing is decompressed, no cookie is kept. The connection is closed when `use` is done.
 *
 * @throws Error whose message is one short phrase
 */
export async function ask<T>(
  url: string,
  { method = 'GET', headers = {}, timeoutMs }: Asked,
  use: (answer: IncomingMessage, deadline: AbortSignal) => T | Promise<T>,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const deadline = AbortSignal.timeout(timeoutMs);
  const identity = { 'accept-encoding': 'identity', ...headers };
  const client = url.startsWith('https:') ? https : http;
  const request = client.request(url, { method, headers: identity, agent: false, signal: deadline }, resolve);
  request.on('error', reject).end();
  try {
    return await use(await promise, deadline);
  } catch (error) {
    throw new Error(reason(error, deadline), { cause: error });
  } finally {
    request.destroy();
  }
}

/** One short phrase for what broke an exchange; the URL, which may hold a token, is not in it. */
function reason(error: unknown, deadline: AbortSignal): string {
  // Node reports a body that the deadline cut off as ECONNRESET.
  if (deadline.aborted) return 'no answer in time';
  const { code, message } = error as NodeJS.ErrnoException;
  return printable(code ?? message);
}

/** What a header says, fit for a terminal. */
export function says(answer: IncomingMessage, name: string): string {
  const value = answer.headers[name];
  return value === undefined ? `no ${name}` : `${name}: ${printable(String(value))}`;
}

export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, '?');
  return clean.length > 100 ? `${clean.slice(0, 100)}…` : clean;
}

/** Up to `limit` bytes of the body, as text. */
export async function readText(answer: IncomingMessage, limit: number): Promise<string> {
  let text = '';
  for await (const chunk of answer) {
    text += (chunk as Buffer).toString('latin1');
    if (text.length >= limit) break;
  }
  return Buffer.from(text.slice(0, limit), 'latin1').toString();
}

/** How many bytes the body has, counted up to a little above `limit`. */
export async function count(answer: IncomingMessage, limit: number): Promise<number> {
  let size = 0;
  for await (const chunk of answer) {
    size += (chunk as Buffer).length;
    if (size > limit) break;
  }
  return size;
}

/**
 * Writes the body into `file`.
 *
 * @returns its size, and why it is not whole, if it is not
 */
export async function spool(answer: IncomingMessage, deadline: AbortSignal, file: FileHandle, limit: number) {
  let size = 0;
  try {
    for await (const chunk of answer) {
      size += (chunk as Buffer).length;
      if (size > limit) return { size, broken: `it is larger than the limit of ${limit} bytes` };
      await file.write(chunk as Buffer);
    }
  } catch (error) {
    return { size, broken: `it broke off after ${size} bytes: ${reason(error, deadline)}` };
  }
  return { size, broken: size === 0 ? 'it is empty' : undefined };
}

/** Compares the body with the bytes from `first` to `last` of `file`: undefined where they are the same. */
export async function differs(
  answer: IncomingMessage,
  file: FileHandle,
  { first, last }: { first: number; last: number },
): Promise<string | undefined> {
  let at = first;
  for await (const data of answer) {
    const chunk = data as Buffer;
    if (at + chunk.length > last + 1) return 'more bytes than the range has';
    const { buffer } = await file.read(Buffer.alloc(chunk.length), 0, chunk.length, at);
    if (!chunk.equals(buffer))
      return `other bytes than the whole has, within ${chunk.length} from position ${at}`;
    at += chunk.length;
  }
  return at === last + 1 ? undefined : `${last + 1 - at} bytes too few`;
}
