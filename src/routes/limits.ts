import { hash } from 'node:crypto';
import { normalizeIP, type RateLimitOptions } from '@fastify/rate-limit';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import { Problem } from '../errors.ts';

const minuteMs = 60_000;
const maxFailuresPerMinute = 60;
/** HubSpot asks for the ids of erased recordings too, and for all its customers from a few addresses. */
const maxUnknownIdsPerMinute = 600;
/** Addresses whose pause is remembered. */
const maxPaused = 10_000;
/** Bits of an IPv6 address that identify a household or a rented server. Its owner chooses the other bits. */
const ipv6SubnetBits = 64;

export interface Limits {
  perToken: RateLimitOptions;
  perKey: RateLimitOptions;
}

/** Counts the requests for each account, by all keys and tokens together, so that one account starves no other. */
export interface AccountLimit {
  /** @throws Problem `rate_limited` if the account has used up its requests of this minute */
  add(request: FastifyRequest, accountId: string): Promise<void>;
}

/** Counts the failures of each IP address. An address that fails too often within a minute is paused. */
export interface FailureCount {
  /** @throws Problem `rate_limited` if the address is paused now */
  add(request: FastifyRequest): Promise<void>;
  /** Call it before the credentials are looked at: during a pause, the right ones must not be accepted either. */
  requireNoPause(request: FastifyRequest): void;
}

export interface Failures {
  /** Stream tokens that do not verify. A valid token plays during a pause, because nobody can guess a signature. */
  tokens: FailureCount;
  /** Wrong API keys, access keys and signatures. */
  credentials: FailureCount;
  /** Ids that no recording has, requested with the right access key. */
  ids: FailureCount;
}

/**
 * Rate limits for each token and for each API key. The store of the counters gets no secret: only the signature of
 * a token, which is useless without the rest, and the id of a key.
 *
 * @param max requests per minute
 * @param keyIdOf returns an id of the API key of a request that is no secret
 */
export function createLimits(max: number, keyIdOf: (request: FastifyRequest) => string): Limits {
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
    perKey: { ...shared, keyGenerator: (request) => `key:${keyIdOf(request)}` },
  };
}

/** @param max requests per minute for one account */
export function createAccountLimit(app: FastifyInstance, max: number): AccountLimit {
  const accounts = new WeakMap<FastifyRequest, string>();
  // Hashed, because the store of the counters gets no ids.
  const keyOf = (request: FastifyRequest) => `account:${hash('sha256', accounts.get(request)!, 'base64url')}`;
  const count = minuteCounter(app, max, keyOf);
  return {
    async add(request, accountId) {
      accounts.set(request, accountId);
      const waitMs = await count(request);
      if (waitMs !== undefined) throw rateLimited(waitMs);
    },
  };
}

export function createFailures(app: FastifyInstance): Failures {
  return {
    tokens: failureCount(app, 'token', maxFailuresPerMinute),
    credentials: failureCount(app, 'credential', maxFailuresPerMinute),
    ids: failureCount(app, 'id', maxUnknownIdsPerMinute),
  };
}

function failureCount(app: FastifyInstance, name: string, max: number): FailureCount {
  const addressOf = (request: FastifyRequest) => normalizeIP(request.ip, ipv6SubnetBits);
  const count = minuteCounter(app, max, (request) => `failure:${name}:${addressOf(request)}`);
  /** When the pause of an address ends, by `performance.now()`. Each process learns of a pause by its own count. */
  const pausedUntil = new LRUCache<string, number>({ max: maxPaused });
  return {
    async add(request) {
      const waitMs = await count(request);
      if (waitMs === undefined) return;
      pausedUntil.set(addressOf(request), performance.now() + waitMs);
      throw rateLimited(waitMs);
    },
    requireNoPause(request) {
      const remainingMs = (pausedUntil.get(addressOf(request)) ?? 0) - performance.now();
      if (remainingMs > 0) throw rateLimited(remainingMs);
    },
  };
}

/** Counts a request under its key. Resolves to the rest of the minute, in ms, if there were more than `max`. */
function minuteCounter(app: FastifyInstance, max: number, keyGenerator: (request: FastifyRequest) => string) {
  const check = app.createRateLimit({ max, timeWindow: minuteMs, keyGenerator });
  return async (request: FastifyRequest): Promise<number | undefined> => {
    const limit = await check(request);
    // `isAllowed` means exempt from the limit. It is always false here, but the type requires the check.
    return !limit.isAllowed && limit.isExceeded ? limit.ttl : undefined;
  };
}

function rateLimited(ttlMs: number): Problem {
  return new Problem('rate_limited', undefined, { retryAfter: Math.max(1, Math.ceil(ttlMs / 1000)) });
}
