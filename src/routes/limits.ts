import { normalizeIP, type RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';

const minuteMs = 60_000;
const maxFailuresPerMinute = 60;
/** Bits of an IPv6 address that belong to one household or one rented server, which chooses the rest itself. */
const ipv6SubnetBits = 64;

export interface Limits {
  perToken: RateLimitOptions;
  perKey: RateLimitOptions;
}

/** Counts, by address, the requests with a wrong token, key or signature. */
export interface Failures {
  /** @throws Problem `rate_limited` if the address has failed too often within a minute */
  count(request: FastifyRequest): Promise<void>;
}

/**
 * Rate limits for one token and for one API key. The store of the counters gets neither: it knows a token by its
 * signature alone, which is worth nothing without the rest.
 *
 * @param max requests per minute
 * @param keyId names the API key of an `Authorization` header without giving it away
 */
export function createLimits(max: number, keyId: (authorization: string | undefined) => string): Limits {
  const shared: RateLimitOptions = {
    max,
    timeWindow: minuteMs,
    errorResponseBuilder: (_request, { ttl }) => rateLimited(ttl),
  };
  return {
    perToken: {
      ...shared,
      // Without the last character: two of its bits mean nothing. A token would have four spellings and four limits.
      keyGenerator: (request) => `token:${(request.params as { token: string }).token.slice(-43, -1)}`,
    },
    perKey: { ...shared, keyGenerator: (request) => `key:${keyId(request.headers.authorization)}` },
  };
}

export function createFailures(app: FastifyInstance): Failures {
  const check = app.createRateLimit({
    max: maxFailuresPerMinute,
    timeWindow: minuteMs,
    keyGenerator: (request) => `failure:${normalizeIP(request.ip, ipv6SubnetBits)}`,
  });
  return {
    async count(request) {
      const limit = await check(request);
      if (!limit.isAllowed && limit.isExceeded) throw rateLimited(limit.ttl);
    },
  };
}

function rateLimited(ttlMs: number): Problem {
  return new Problem('rate_limited', undefined, { retryAfter: Math.max(1, Math.ceil(ttlMs / 1000)) });
}
