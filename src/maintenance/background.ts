import { setTimeout as sleep } from 'node:timers/promises';
import { defaultLeaseMs, type Leases } from '../db/leases.ts';

/** Work that a serving process does from time to time. */
export interface Task {
  name: string;
  /** Time between the end of one run and the start of the next, in ms. The first run starts at once. */
  everyMs: number;
  /**
   * Does the work in small steps. It must call `mayContinue` before each step, and stop if the result is false: the
   * process stops, or another process does this task at present.
   */
  run(mayContinue: () => Promise<boolean>): Promise<void>;
}

export interface BackgroundOptions {
  tasks: Task[];
  leases: Pick<Leases, 'take'>;
  log: { warn(details: { err: unknown; task: string }, message: string): void };
}

/** Runs each task again and again. Of all processes that share the database, one at a time runs a task. */
export class Background {
  readonly #options: BackgroundOptions;
  readonly #stopping = new AbortController();
  #loops: Promise<void>[] = [];

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  /** Works until `stop`. */
  start(): void {
    if (this.#loops.length === 0) this.#loops = this.#options.tasks.map((task) => this.#repeat(task));
  }

  /** Resolves when the steps under way have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
  }

  async #repeat(task: Task): Promise<void> {
    const { leases, log } = this.#options;
    const { signal } = this.#stopping;
    const mayContinue = async () => !signal.aborted && (await leases.take(`task ${task.name}`));
    while (!signal.aborted) {
      let waitMs = task.everyMs;
      try {
        if (await mayContinue()) await task.run(mayContinue);
        else waitMs = Math.min(waitMs, defaultLeaseMs); // the process that has the lease may have died
      } catch (error) {
        log.warn({ err: error, task: task.name }, 'A background task failed.');
      }
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => {});
    }
  }
}
