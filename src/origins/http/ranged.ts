import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem, type ProblemCode } from '../../errors.ts';
import type { ByteRange } from '../origin.ts';
import type { Answer } from './http-client.ts';

/** Tries at one request, the first included. */
const attempts = 4;

/** Asks for `range` of the version that `etag` names (RFC 9110 §13.1.1, §14.2), as it is stored (§12.5.3). */
export function rangeHeaders({ first, last }: ByteRange, etag?: string): Record<string, string> {
  const headers = { range: `bytes=${first}-${last}`, 'accept-encoding': 'identity' };
  return etag === undefined ? headers : { ...headers, 'if-match': etag };
}

/**
 * The body of an answer to `rangeHeaders(range, etag)`, once its head has shown that it is exactly that.
 * A server that ignores Range answers 200 with the whole, one that ignores If-Match another version, and
 * either would otherwise pass for what was asked.
 *
 * @throws Problem `not_found`, `version_changed`, `origin_unavailable`, `origin_failed`
 */
export function rangeBody(answer: Answer, range: ByteRange, etag: string): AsyncIterable<Uint8Array> {
  const length = range.last - range.first + 1;
  const problem = complaint(answer, range, etag, length);
  if (!problem) return answer.bytes(length);
  answer.discard();
  throw problem;
}

function complaint(answer: Answer, range: ByteRange, etag: string, length: number): Problem | undefined {
  const { status, headers } = answer;
  if (status !== 206) return statusProblem(status);
  if (!isPlain(answer)) return failed('the range is encoded');
  if (!isStrong(headers.etag)) return failed('the range comes without a strong validator');
  if (headers.etag !== etag) return new Problem('version_changed');
  const sent = contentRange(answer);
  if (sent?.first !== range.first || sent.last !== range.last) return failed('the range is another one');
  const declared = headers['content-length'];
  if (declared !== undefined && Number(declared) !== length)
    return failed('the length does not fit the range');
  return undefined;
}

/** `Content-Range: bytes 0-499/1234` (RFC 9110 §14.4); `size` is not given where the server does not know it. */
export function contentRange({ headers }: Answer): (ByteRange & { size?: number }) | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(headers['content-range'] ?? '');
  if (!match) return undefined;
  const range = { first: Number(match[1]), last: Number(match[2]) };
  return match[3] === '*' ? range : { ...range, size: Number(match[3]) };
}

/** Whether the bytes are those of the recording, with no content coding applied to them (RFC 9110 §8.4). */
export function isPlain({ headers }: Answer): boolean {
  return ['', 'identity'].includes(headers['content-encoding'] ?? '');
}

/** RFC 9110 §8.8.3: an entity tag in quotes, without the `W/` of a weak one. */
export function isStrong(etag: string | undefined): etag is string {
  return /^"[!#-~\x80-\xff]*"$/.test(etag ?? '');
}

/** What a status other than the one hoped for says about the origin. */
export function statusProblem(status: number): Problem {
  return new Problem(codeOf(status), undefined, { cause: `the origin answered ${status}` });
}

function codeOf(status: number): ProblemCode {
  if (status === 404 || status === 410) return 'not_found';
  // A range is only asked for within a version that was seen: where it does not fit, there is another.
  if (status === 412 || status === 416) return 'version_changed';
  if (status === 408 || status === 429 || status >= 500) return 'origin_unavailable';
  return 'origin_failed';
}

function failed(cause: string): Problem {
  return new Problem('origin_failed', undefined, { cause });
}

/**
 * Tries again, after a random wait that grows, while the origin is out of reach; but not once `limitMs`
 * have gone by, since whoever waits for the answer has limits too.
 */
export async function retry<T>(attempt: () => Promise<T>, limitMs: number, signal?: AbortSignal): Promise<T> {
  const until = performance.now() + limitMs;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isProblem(error, 'origin_unavailable') || tries === attempts || performance.now() > until)
        throw error;
    }
    await sleep(Math.random() * 100 * 3 ** tries, undefined, { signal }).catch(() =>
      signal?.throwIfAborted(),
    );
  }
}
