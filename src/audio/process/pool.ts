import { availableParallelism } from 'node:os';
import { Problem } from '../../errors.ts';
import type { Declared, Report } from '../report.ts';
import { Parent, type Recording } from './parent.ts';

/** Seconds after which a place in the queue may be free. */
const retryAfter = 10;

/**
 * Judges recordings in processes of their own, so that a hostile file costs a refusal and never the gateway.
 * They start when they are first needed, and idle ones do not keep this process alive.
 */
export class CheckPool {
  readonly #idle: Parent[];
  readonly #judges: Parent[];
  readonly #queue: number;
  readonly #waiting: PromiseWithResolvers<Parent>[] = [];
  readonly #closed = new AbortController();

  /**
   * @param options.workers processes, each of up to 250 MB (AAC: 450 MB) while it judges
   * @param options.queue how many recordings may wait for a worker
   */
  constructor({
    workers = Math.min(2, availableParallelism()),
    queue = 100,
  }: { workers?: number; queue?: number }) {
    this.#judges = Array.from({ length: workers }, () => new Parent());
    this.#idle = [...this.#judges];
    this.#queue = queue;
  }

  /**
   * The report on one recording.
   *
   * @throws Problem `busy` where the queue is full, `not_found` for a path, and what the origin throws; the
   * reason of `signal`
   */
  async check(recording: Recording, declared: Declared, signal?: AbortSignal): Promise<Report> {
    const left = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    left.throwIfAborted();
    const judge = this.#idle.pop() ?? (await this.#wait(left));
    try {
      return await judge.judge(recording, declared, left);
    } finally {
      const next = this.#waiting.shift();
      if (next) next.resolve(judge);
      else this.#idle.push(judge);
    }
  }

  /** Ends every worker; checks under way and waiting fail with `busy`. */
  async close(): Promise<void> {
    this.#closed.abort(new Problem('busy', undefined, { retryAfter }));
    for (const judge of this.#judges) judge.close();
  }

  async #wait(signal: AbortSignal): Promise<Parent> {
    if (this.#waiting.length >= this.#queue) throw new Problem('busy', undefined, { retryAfter });
    const place = Promise.withResolvers<Parent>();
    const leave = () => {
      // It is not there any more where it has just been given a worker.
      const at = this.#waiting.indexOf(place);
      if (at >= 0) this.#waiting.splice(at, 1);
      place.reject(signal.reason);
    };
    this.#waiting.push(place);
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await place.promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }
}
