import { normalizeIP, type RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';

const minuteMs = 60_000;
const maxFailuresPerMinute = 60;
/** Bits of an IPv6 address that identify a household or a rented server. Its owner chooses the other bits. */
const ipv6SubnetBits = 64;

export interface Limits {
  perToken: RateLimitOptions;
  perKey: RateLimitOptions;
}

/** Counts the requests with a wrong token, key or signature, by IP address. */
export interface Failures {
  /** @throws Problem `rate_limited` if the address has failed too often within a minute */
  count(request: FastifyRequest): Promise<void>;
}

/**
 * Rate limits for each token and for each API key. The store of the counters gets no secret: only the signature of
 * a token, which is useless without the rest, and the id of a key.
 *
 * @param max requests per minute
 * @param keyId verifies an `Authorization` header and returns an id of its API key that is no secret
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
      // The signature without its last character. Two bits of that character are unused, so a token has four
      // spellings, and each would have a limit of its own.
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
      // `isAllowed` means exempt from the limit. It is always false here, but the type requires the check.
      if (!limit.isAllowed && limit.isExceeded) throw rateLimited(limit.ttl);
    },
  };
}

function rateLimited(ttlMs: number): Problem {
  return new Problem('rate_limited', undefined, { retryAfter: Math.max(1, Math.ceil(ttlMs / 1000)) });
}
