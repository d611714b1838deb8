import type { FastifyBaseLogger } from 'fastify';
import type { Database } from '../db/open.ts';
import { asProblem } from '../errors.ts';

/** How long a result is used, over all probes. */
const validMs = 1_000;

/** `full`: rows cannot be added, but streams and everything that only reads go on. */
export type DatabaseState = 'ok' | 'full' | 'out of reach';

/** Whether the database takes writes, for `/readyz`. */
export class Readiness {
  readonly #db: Pick<Database, 'ping'>;
  readonly #log: FastifyBaseLogger;
  #state: DatabaseState = 'ok';
  #looking: Promise<DatabaseState> | undefined;

  constructor(db: Pick<Database, 'ping'>, log: FastifyBaseLogger) {
    this.#db = db;
    this.#log = log;
  }

  /** At most one look in a second, however many probes there are. Each change is logged. */
  database(): Promise<DatabaseState> {
    this.#looking ??= this.#look().finally(() => {
      setTimeout(() => {
        this.#looking = undefined;
      }, validMs).unref();
    });
    return this.#looking;
  }

  async #look(): Promise<DatabaseState> {
    const problem = await this.#db.ping().then(() => undefined, asProblem);
    const state = !problem ? 'ok' : problem.code === 'storage_full' ? 'full' : 'out of reach';
    if (state !== this.#state) {
      if (problem) {
        const reason = problem.cause instanceof Error ? problem.cause.message : problem.message;
        this.#log.error({ err: problem, cause: problem.cause }, `The database takes no writes: ${reason}`);
      } else {
        this.#log.info('The database takes writes again.');
      }
    }
    this.#state = state;
    return state;
  }
}
