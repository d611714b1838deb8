import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem, Problem, type ProblemCode } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { ByteRange, Origin, Representation, Version } from './origin.ts';

export interface HealingOptions {
  readonly metrics: Pick<Metrics, 'heals'>;
  /** How long the origin may keep a read waiting for its next byte. One more attempt is made then, and no third. */
  readonly stallTimeoutMs: number;
  /** Failures in a row, without one byte between them, that are put up with. */
  readonly attempts?: number;
  /** Longest wait before the first new attempt; it doubles with each failure in a row. */
  readonly backoffMs?: number;
}

/**
 * An origin made of an origin whose connections break. A body that is reset, stalls or ends early is read
 * on from its next byte, of the same version: the origin underneath is asked with the same etag. What
 * cannot be healed throws, so that the listener's connection breaks, too.
 *
 * The origin underneath may try again by itself to get an answer; how long all of that may take is decided here.
 */
export class HealingOrigin implements Origin {
  readonly #origin: Origin;
  readonly #options: Required<HealingOptions>;

  constructor(origin: Origin, options: HealingOptions) {
    this.#origin = origin;
    this.#options = { attempts: 5, backoffMs: 50, ...options };
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
    await bytes.next(); // runs until the origin has agreed to send
    return bytes;
  }

  /** Yields nothing once, when the read is open, and then the bytes. */
  async *#bytes(
    key: string,
    range: ByteRange,
    version: Version,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { metrics, stallTimeoutMs, attempts, backoffMs } = this.#options;
    let next = range.first;
    let failures = 0;
    let opened = false;
    /** Since when the origin has owed a byte. */
    let since = performance.now();
    while (next <= range.last) {
      const watch = watchdog(stallTimeoutMs, signal);
      try {
        watch.start();
        const rest = { first: next, last: range.last };
        const body = await this.#origin.read(key, rest, version, watch.signal);
        watch.stop();
        if (!opened) {
          yield nothing;
          since = performance.now();
        }
        opened = true;
        watch.start();
        for await (const chunk of body) {
          watch.stop(); // a listener may take its time
          if (failures > 0 && chunk.length > 0) metrics.heals.inc({ outcome: 'healed' });
          if (chunk.length > 0) failures = 0;
          next += chunk.length;
          yield chunk;
          since = performance.now();
          watch.start();
        }
        if (next <= range.last) throw brokenOff(`${range.last + 1 - next} bytes are missing`);
      } catch (error) {
        signal.throwIfAborted();
        if (isProblem(error) && !passing.has(error.code)) throw error;
        const isLate = watch.signal.aborted || performance.now() - since >= stallTimeoutMs;
        if (++failures >= attempts || (isLate && failures > 1)) {
          metrics.heals.inc({ outcome: 'failed' });
          throw isProblem(error) ? error : brokenOff(error);
        }
        await sleep(Math.random() * backoffMs * 2 ** failures, undefined, { signal }).catch(() =>
          signal.throwIfAborted(),
        );
      } finally {
        watch.end();
      }
    }
  }
}

const nothing = new Uint8Array(0);
/** What may be otherwise at the next attempt; a version that changed stays changed. */
const passing = new Set<ProblemCode>(['origin_failed', 'origin_unavailable']);

function brokenOff(cause: unknown): Problem {
  return new Problem('origin_failed', undefined, { cause });
}

function silent(ms: number): Problem {
  return new Problem('origin_unavailable', undefined, { cause: `no byte for ${ms} ms` });
}

/** A signal that aborts with `signal`, or when `stop` does not follow `start` within `ms`. */
function watchdog(ms: number, signal: AbortSignal) {
  const stall = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  return {
    signal: AbortSignal.any([signal, stall.signal]),
    start() {
      timer = setTimeout(() => stall.abort(silent(ms)), ms);
    },
    stop() {
      clearTimeout(timer);
    },
    /** Frees what the attempt may still hold. */
    end() {
      clearTimeout(timer);
      stall.abort();
    },
  };
}
