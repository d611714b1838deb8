import type { FastifyRateLimitStore, FastifyRateLimitStoreCtor } from '@fastify/rate-limit';
import LocalStore from '@fastify/rate-limit/store/LocalStore.js';
import RedisStore from '@fastify/rate-limit/store/RedisStore.js';
import { Redis } from 'ioredis';

type Increment = Parameters<FastifyRateLimitStore['incr']>;
type Route = Parameters<FastifyRateLimitStore['child']>[0];

/** The counters of the rate limits. */
export interface Counters {
  /** For `@fastify/rate-limit`. Undefined if each process counts for itself. */
  store: FastifyRateLimitStoreCtor | undefined;
  /** Of Redis, for `/readyz`. Undefined without Redis. */
  state(): 'ok' | 'out of reach' | undefined;
  close(): void;
}

const connectTimeoutMs = 2_000;
const maxReconnectDelayMs = 2_000;
/** A Redis that leaves a command without a response for this long is disconnected. */
const responseTimeoutMs = 1_000;

/**
 * Counts in Redis, so that a limit holds for all replicas together. While Redis is out of reach, each process counts
 * for itself, from zero: no request waits for Redis, and none is left uncounted.
 *
 * @param url `redis://` or `rediss://`; empty for none
 */
export function openCounters(url: string): Counters {
  if (url === '') return { store: undefined, state: () => undefined, close: () => {} };
  const redis = new Redis(url, {
    connectionName: 'playhead',
    connectTimeout: connectTimeoutMs,
    socketTimeout: responseTimeoutMs,
    retryStrategy: (attempt) => Math.min(50 * 2 ** attempt, maxReconnectDelayMs),
    // A command that cannot be sent now fails now. Later its request would have its response already.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  });
  redis.on('error', () => {}); // `state` reports it, and every command that failed is counted here
  return {
    store: class extends FallbackStore {
      constructor() {
        super(new RedisStore(false, false, redis, 'playhead:limit:'), new LocalStore(false, false));
      }
    },
    state: () => (redis.status === 'ready' ? 'ok' : 'out of reach'),
    close: () => redis.disconnect(),
  };
}

/** Counts in the shared store, or in the local one if the shared one fails. */
class FallbackStore implements FastifyRateLimitStore {
  readonly #shared: RedisStore;
  readonly #local: LocalStore;

  constructor(shared: RedisStore, local: LocalStore) {
    this.#shared = shared;
    this.#local = local;
  }

  incr(...[key, done, windowMs, max]: Increment): void {
    // A copy, because the local store returns the very object in which it continues to count.
    const countHere = () =>
      this.#local.incr(key, (error, count) => done(error, count && { ...count }), windowMs, max);
    this.#shared.incr(key, (error, count) => (error ? countHere() : done(null, count)), windowMs, max);
  }

  child(route: Route): FallbackStore {
    return new FallbackStore(this.#shared.child(route), this.#local.child(route));
  }
}
