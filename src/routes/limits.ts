import { normalizeIP, type RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';

const minute = 60_000;
const failuresPerMinute = 60;
/** Bits of an IPv6 address that name one household or one rented server; the rest is its own to choose. */
const ipv6Subnet = 64;

export interface Limits {
  perToken: RateLimitOptions;
  perKey: RateLimitOptions;
}

/** Counts, by address, the requests whose token, key or signature was wrong. */
export interface Failures {
  /** @throws Problem `rate_limited` once an address has failed too often within a minute */
  count(request: FastifyRequest): Promise<void>;
}

/**
 * How often one token and one API key may ask in a minute. Neither becomes a name in the counter's store:
 * a token is known there by its signature alone, which opens nothing without the rest.
 *
 * @param keyId names the API key of an `Authorization` header without giving it away
 */
export function createLimits(max: number, keyId: (authorization: string | undefined) => string): Limits {
  const shared: RateLimitOptions = {
    max,
    timeWindow: minute,
    errorResponseBuilder: (_request, { ttl }) => tooMany(ttl),
  };
  return {
    perToken: {
      ...shared,
      // Without its last character: two bits of that mean nothing, and four spellings would be four limits.
      keyGenerator: (request) => `token:${(request.params as { token: string }).token.slice(-43, -1)}`,
    },
    perKey: { ...shared, keyGenerator: (request) => `key:${keyId(request.headers.authorization)}` },
  };
}

export function createFailures(app: FastifyInstance): Failures {
  const take = app.createRateLimit({
    max: failuresPerMinute,
    timeWindow: minute,
    keyGenerator: (request) => `failure:${normalizeIP(request.ip, ipv6Subnet)}`,
  });
  return {
    async count(request) {
      const limit = await take(request);
      if (!limit.isAllowed && limit.isExceeded) throw tooMany(limit.ttl);
    },
  };
}

function tooMany(ttlMs: number): Problem {
  return new Problem('rate_limited', undefined, { retryAfter: Math.max(1, Math.ceil(ttlMs / 1000)) });
}
