import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem, type ProblemCode } from '../../errors.ts';
import type { ByteRange } from '../origin.ts';
import type { HttpResponse } from './http-client.ts';

/** Attempts at one request, the first included. */
const attempts = 4;

/** Requests `range` of the version that `etag` names (RFC 9110 §13.1.1, §14.2), with no content coding (§12.5.3). */
export function rangeHeaders({ first, last }: ByteRange, etag?: string): Record<string, string> {
  const headers = { range: `bytes=${first}-${last}`, 'accept-encoding': 'identity' };
  return etag === undefined ? headers : { ...headers, 'if-match': etag };
}

/**
 * The body of the response to `rangeHeaders(range, etag)`, if its head shows that it is exactly that range.
 * A server that ignores Range sends the whole with 200, and one that ignores If-Match sends another version.
 * Without this check, either would be taken for the range.
 *
 * @throws Problem `not_found`, `version_changed`, `origin_unavailable`, `origin_failed`
 */
export function rangeBody(response: HttpResponse, range: ByteRange, etag: string): AsyncIterable<Uint8Array> {
  const length = range.last - range.first + 1;
  const problem = problemWith(response, range, etag, length);
  if (!problem) return response.bytes(length);
  response.discard();
  throw problem;
}

function problemWith(
  response: HttpResponse,
  range: ByteRange,
  etag: string,
  length: number,
): Problem | undefined {
  const { status, headers } = response;
  if (status !== 206) return statusProblem(status);
  if (!isPlain(response)) return failed('the range has a Content-Encoding');
  if (!isStrong(headers.etag)) return failed('the range has no strong validator');
  if (headers.etag !== etag) return new Problem('version_changed');
  const sent = contentRange(response);
  if (sent?.first !== range.first || sent.last !== range.last)
    return failed('Content-Range is another range');
  const contentLength = headers['content-length'];
  if (contentLength !== undefined && Number(contentLength) !== length)
    return failed('Content-Length is not the length of the range');
  return undefined;
}

/** `Content-Range: bytes 0-499/1234` (RFC 9110 §14.4). Without `size` if the server does not know it. */
export function contentRange({ headers }: HttpResponse): (ByteRange & { size?: number }) | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(headers['content-range'] ?? '');
  if (!match) return undefined;
  const range = { first: Number(match[1]), last: Number(match[2]) };
  return match[3] === '*' ? range : { ...range, size: Number(match[3]) };
}

/** Whether no content coding is applied to the bytes (RFC 9110 §8.4). */
export function isPlain({ headers }: HttpResponse): boolean {
  return ['', 'identity'].includes(headers['content-encoding'] ?? '');
}

/** RFC 9110 §8.8.3: an entity tag in quotes, without the `W/` of a weak one. */
export function isStrong(etag: string | undefined): etag is string {
  return /^"[!#-~\x80-\xff]*"$/.test(etag ?? '');
}

/** The problem that an unexpected status stands for. */
export function statusProblem(status: number): Problem {
  return new Problem(codeOf(status), undefined, { cause: `the origin responded with ${status}` });
}

function codeOf(status: number): ProblemCode {
  if (status === 404 || status === 410) return 'not_found';
  // Every range is inside the version that was looked up. If it is not satisfiable, the version has changed.
  if (status === 412 || status === 416) return 'version_changed';
  if (status === 408 || status === 429 || status >= 500) return 'origin_unavailable';
  return 'origin_failed';
}

function failed(cause: string): Problem {
  return new Problem('origin_failed', undefined, { cause });
}

/**
 * Repeats `attempt` while the origin is unavailable, after random waits that grow. It stops after four
 * attempts, or when one fails later than `limitMs` after the start, because its callers have limits of their own.
 */
export async function retry<T>(attempt: () => Promise<T>, limitMs: number, signal?: AbortSignal): Promise<T> {
  const deadlineMs = performance.now() + limitMs;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isProblem(error, 'origin_unavailable') || tries === attempts || performance.now() > deadlineMs)
        throw error;
    }
    await sleep(Math.random() * 100 * 3 ** tries, undefined, { signal }).catch(() =>
      signal?.throwIfAborted(),
    );
  }
}
