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
  /** The state of Redis, for `/readyz`. Undefined without Redis. */
  state(): 'ok' | 'out of reach' | undefined;
  close(): void;
}

const connectTimeoutMs = 2_000;
const maxReconnectDelayMs = 2_000;
/** If Redis does not respond to a command for this long, the connection is closed and opened again. */
const responseTimeoutMs = 1_000;
/** Two features of the plugin's stores. The gateway uses neither. */
const continueExceeding = false;
const exponentialBackoff = false;

/**
 * Counts in Redis, so that a limit holds for all replicas together. While Redis is out of reach, each process counts
 * for itself, from zero. So every request is counted, and none waits long for Redis.
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
    // A command that cannot be sent fails at once. Sent later, it would be too late for its request.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
  });
  redis.on('error', () => {}); // `state` reports it, and FallbackStore counts in place of each command that fails
  return {
    // The plugin requires a class and constructs the store itself.
    store: class extends FallbackStore {
      constructor() {
        super(
          new RedisStore(continueExceeding, exponentialBackoff, redis, 'playhead:limit:'),
          new LocalStore(continueExceeding, exponentialBackoff),
        );
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
    const countLocally = () =>
      this.#local.incr(key, (error, count) => done(error, count && { ...count }), windowMs, max);
    this.#shared.incr(key, (error, count) => (error ? countLocally() : done(null, count)), windowMs, max);
  }

  child(route: Route): FallbackStore {
    return new FallbackStore(this.#shared.child(route), this.#local.child(route));
  }
}
