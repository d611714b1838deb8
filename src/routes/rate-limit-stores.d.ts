/** The stores of @fastify/rate-limit, which the types of the package do not declare. */
declare module '@fastify/rate-limit/store/*.js' {
  import type { FastifyRateLimitStore } from '@fastify/rate-limit';

  export default class Store implements FastifyRateLimitStore {
    /** @param rest for the Redis store: its client, and the prefix of its keys */
    constructor(continueExceeding: boolean, exponentialBackoff: boolean, ...rest: unknown[]);
    incr: FastifyRateLimitStore['incr'];
    child(route: Parameters<FastifyRateLimitStore['child']>[0]): Store;
  }
}
