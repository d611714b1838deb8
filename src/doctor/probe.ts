import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';

export interface ProbeOptions {
  method?: string;
  headers?: Record<string, string>;
  /** Milliseconds for the whole exchange, body included. */
  timeoutMs: number;
}

/**
 * Sends one request on a connection of its own and passes the response to `use` as it is: no redirect is
 * followed, nothing is decompressed, no cookie is kept. The connection is closed when `use` is done.
 *
 * @throws Error whose message is one short phrase
 */
export async function probe<T>(
  url: string,
  { method = 'GET', headers = {}, timeoutMs }: ProbeOptions,
  use: (response: IncomingMessage, deadline: AbortSignal) => T | Promise<T>,
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
    throw new Error(reasonOf(error, deadline), { cause: error });
  } finally {
    request.destroy();
  }
}

/** A short phrase for an error of an exchange, without the URL, because that may contain a token. */
export function reasonOf(error: unknown, deadline: AbortSignal): string {
  // Node reports a body that the deadline cut off as ECONNRESET.
  if (deadline.aborted) return 'no response in time';
  const { code, message } = error as NodeJS.ErrnoException;
  return printable(code ?? message);
}

/** A header as `name: value` for a terminal, or `no name`. */
export function describeHeader({ headers }: IncomingMessage, name: string): string {
  const value = headers[name];
  return value === undefined ? `no ${name}` : `${name}: ${printable(String(value))}`;
}

export function printable(text: string): string {
  const clean = text.replace(/[^\x20-\x7e]/g, '?');
  return clean.length > 100 ? `${clean.slice(0, 100)}…` : clean;
}
