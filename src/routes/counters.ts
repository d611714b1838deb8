import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit';
import LocalStore from '@fastify/rate-limit/store/LocalStore.js';
import RedisStore from '@fastify/rate-limit/store/RedisStore.js';
import { Redis } from 'ioredis';

type Incr = FastifyRateLimitStore['incr'];

/** Where requests are counted for the rate limits. */
export interface Counters {
  /** For `@fastify/rate-limit`; undefined where each process counts alone. */
  store: FastifyRateLimitStoreCtor | undefined;
  /** Of Redis, for `/readyz`; undefined where there is none. */
  state(): 'ok' | 'out of reach' | undefined;
  close(): void;
}

const connectMs = 2_000;
const longestRetryMs = 2_000;
/** A Redis that leaves a question open this long is given up until it can be reached anew. */
const silenceMs = 1_000;

/**
 * Counts in Redis, so that a limit holds for all replicas together. While Redis is away each process counts
 * for itself, from nought: no request waits for Redis, and none goes uncounted.
 *
 * @param url `redis://` or `rediss://`; empty for none
 */
export function openCounters(url: string): Counters {
  if (url === '') return { store: undefined, state: () => undefined, close: () => {} };
  const redis = new Redis(url, {
    connectionName: 'playhead',
    connectTimeout: connectMs,
    socketTimeout: silenceMs,
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, longestRetryMs),
    // What cannot be asked now is not asked later: by then its request has been answered.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  });
  redis.on('error', () => {}); // told by `state`; every question that failed is counted here instead
  return {
    store: class extends FallingBack {
      constructor() {
        super(new RedisStore(false, false, redis, 'playhead:limit:'), new LocalStore(false, false));
      }
    },
    state: () => (redis.status === 'ready' ? 'ok' : 'out of reach'),
    close: () => redis.disconnect(),
  };
}

class FallingBack implements FastifyRateLimitStore {
  readonly #shared: RedisStore;
  readonly #own: LocalStore;

  constructor(shared: RedisStore, own: LocalStore) {
    this.#shared = shared;
    this.#own = own;
  }

  incr(...[key, done, windowMs, max]: Parameters<Incr>): void {
    const countHere = () =>
      // The local store hands out the very object that it goes on counting in.
      this.#own.incr(key, (error, count) => done(error, count && { ...count }), windowMs, max);
    this.#shared.incr(key, (error, count) => (error ? countHere() : done(null, count)), windowMs, max);
  }

  child(route: Parameters<FastifyRateLimitStore['child']>[0]): FallingBack {
    return new FallingBack(this.#shared.child(route), this.#own.child(route));
  }
}
