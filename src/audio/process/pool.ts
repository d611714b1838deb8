import { availableParallelism } from 'node:os';
import { Problem } from '../../errors.ts';
import { Turns } from '../../turns.ts';
import type { Declared, Report } from '../report.ts';
import { Parent, type Recording } from './parent.ts';

/**
 * Checks recordings in child processes, so that a hostile file fails its check and never stops the gateway. A child
 * is started when it is first needed. An idle child does not keep its parent alive.
 */
export class CheckPool {
  readonly #parents: Parent[];
  readonly #idle: Parent[];
  readonly #turns: Turns;
  readonly #closed = new AbortController();

  /**
   * @param options.workers processes, each of up to 250 MB (AAC: 450 MB) during a check
   * @param options.queue recordings that may wait for a process
   */
  constructor({
    workers = Math.min(2, availableParallelism()),
    queue = 100,
  }: { workers?: number; queue?: number }) {
    this.#parents = Array.from({ length: workers }, () => new Parent());
    this.#idle = [...this.#parents];
    this.#turns = new Turns(workers, { queue });
  }

  /**
   * The report on one recording.
   *
   * @throws Problem `busy` if the queue is full or the pool is closed, `not_found` for a path, what the
   * origin throws; the reason of `signal`
   */
  async check(recording: Recording, declared: Declared, signal?: AbortSignal): Promise<Report> {
    const stopSignal = signal ? AbortSignal.any([signal, this.#closed.signal]) : this.#closed.signal;
    return this.#turns.run(stopSignal, async () => {
      const parent = this.#idle.pop()!; // there are as many turns as processes
      try {
        return await parent.check(recording, declared, stopSignal);
      } finally {
        this.#idle.push(parent);
      }
    });
  }

  /** Ends every process. Checks that run or wait fail with `busy`. */
  async close(): Promise<void> {
    this.#closed.abort(new Problem('busy', undefined, { retryAfter: 10 }));
    for (const parent of this.#parents) parent.close();
  }
}
