import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem, type ProblemCode } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { ByteRange, Origin, Representation, Version } from './origin.ts';

export interface HealingOptions {
  readonly metrics: Pick<Metrics, 'heals'>;
  /** How long a read waits for the next byte of the origin. Then it ends, but not before a second attempt. */
  readonly stallTimeoutMs: number;
  /** Failures in a row, without a byte between them, that end a read. */
  readonly attempts?: number;
  /** Longest wait before the first new attempt. It doubles with each failure in a row. */
  readonly backoffMs?: number;
}

/**
 * Continues broken reads of another Origin at the next byte.
 *
 * A load reads up to four megabytes over one connection, and a copy reads a whole recording, which can take
 * minutes. Servers, proxies and networks break such a connection at any time. A read fails in four ways:
 *
 * 1. It does not open: the origin is out of reach, or responds with an error that may pass.
 * 2. It is reset: the iteration throws.
 * 3. It ends early: the iteration ends without an error, and bytes are missing.
 * 4. It stalls: the connection is open and no byte comes.
 *
 * In each case another attempt reads the rest of the range. A watchdog turns a stall into an error, and a count
 * of the bytes turns an early end into one. Each attempt is for the same version: if the recording was replaced
 * meanwhile, the origin throws `version_changed`, and bytes of two versions are never mixed.
 *
 * The listener receives one whole body, perhaps with a pause. The read throws after five failures in a row
 * without a byte. From the second failure on, it also throws if no byte has come for `stallTimeoutMs`. The
 * listener's connection then breaks: it never gets a short body that ends like a whole one.
 *
 * The origin may also retry by itself until it has a response. The watchdog limits that time, too.
 */
export class HealingOrigin implements Origin {
  readonly #origin: Origin;
  readonly #options: Required<HealingOptions>;

  constructor(origin: Origin, options: HealingOptions) {
    this.#origin = origin;
    this.#options = { attempts: 5, backoffMs: 100, ...options };
  }

  stat(key: string, signal?: AbortSignal): Promise<Representation> {
    return this.#origin.stat(key, signal);
  }

  async read(
    key: string,
    range: ByteRange,
    version: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const bytes = this.#bytes(key, range, version, signal);
    await bytes.next(); // the empty chunk: the origin has agreed to send
    return bytes;
  }

  /** Yields an empty chunk once the read is open, and then the bytes. */
  async *#bytes(
    key: string,
    range: ByteRange,
    version: Version,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { metrics, stallTimeoutMs, attempts, backoffMs } = this.#options;
    let next = range.first;
    let failures = 0;
    let isOpen = false;
    /** When the current wait for a byte of the origin began. */
    let waitingSince = performance.now();
    while (next <= range.last) {
      const watchdog = new Watchdog(stallTimeoutMs, signal);
      try {
        watchdog.start();
        const rest = { first: next, last: range.last };
        const body = await this.#origin.read(key, rest, version, watchdog.signal);
        watchdog.stop();
        if (!isOpen) {
          isOpen = true;
          yield emptyChunk;
          waitingSince = performance.now();
        }
        watchdog.start();
        for await (const chunk of body) {
          watchdog.stop(); // while the listener drains the chunk
          if (failures > 0 && chunk.length > 0) metrics.heals.inc({ outcome: 'healed' });
          if (chunk.length > 0) failures = 0;
          next += chunk.length;
          yield chunk;
          waitingSince = performance.now();
          watchdog.start();
        }
        if (next <= range.last) throw broken(`${range.last + 1 - next} bytes are missing`);
      } catch (error) {
        signal.throwIfAborted();
        if (isProblem(error) && !mayPass.has(error.code)) throw error;
        const isLate = watchdog.signal.aborted || performance.now() - waitingSince >= stallTimeoutMs;
        if (++failures >= attempts || (isLate && failures > 1)) {
          metrics.heals.inc({ outcome: 'failed' });
          throw isProblem(error) ? error : broken(error);
        }
        const waitMs = Math.random() * backoffMs * 2 ** (failures - 1);
        await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      } finally {
        watchdog.end();
      }
    }
  }
}

const emptyChunk = new Uint8Array(0);
/** Errors that may be gone at the next attempt. A version that changed stays changed. */
const mayPass = new Set<ProblemCode>(['origin_failed', 'origin_unavailable']);

function broken(cause: unknown): Problem {
  return new Problem('origin_failed', undefined, { cause });
}

/** Its `signal` aborts with the caller's, or if `stop` does not follow `start` within `limitMs`. */
class Watchdog {
  readonly signal: AbortSignal;
  readonly #stall = new AbortController();
  readonly #limitMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, signal: AbortSignal) {
    this.#limitMs = limitMs;
    this.signal = AbortSignal.any([signal, this.#stall.signal]);
  }

  start(): void {
    this.#timer = setTimeout(() => this.#stall.abort(silent(this.#limitMs)), this.#limitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** Stops, and aborts the signal, so that the attempt frees what it still holds. */
  end(): void {
    this.stop();
    this.#stall.abort();
  }
}

function silent(limitMs: number): Problem {
  return new Problem('origin_unavailable', undefined, { cause: `no byte for ${limitMs} ms` });
}
