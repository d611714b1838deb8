/** The stores of @fastify/rate-limit, which its own types leave out. */
declare module '@fastify/rate-limit/store/*.js' {
  import type { FastifyRateLimitStore } from '@fastify/rate-limit';

  export default class Store implements FastifyRateLimitStore {
    /** @param rest of the Redis store: its client, and what stands before its keys */
    constructor(continueExceeding: boolean, exponentialBackoff: boolean, ...rest: unknown[]);
    incr: FastifyRateLimitStore['incr'];
    child(route: Parameters<FastifyRateLimitStore['child']>[0]): Store;
  }
}
