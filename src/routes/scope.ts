import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiKeys, Caller } from '../access/api-keys.ts';
import { Problem } from '../errors.ts';
import type { ApiRole } from '../unions.ts';
import type { AccountLimit, Failures } from './limits.ts';

const one = '/v1/recordings/:accountId/:externalId';

/** The roles that a route allows, beside `admin`. A route that is not here denies everybody. */
const allowed: Readonly<Record<string, readonly ApiRole[]>> = {
  'POST /v1/recordings': ['ingest'],
  'GET /v1/recordings': ['read'],
  [`GET ${one}`]: ['read', 'ingest'],
  [`POST ${one}/url`]: ['read'],
  [`POST ${one}/publish`]: ['ingest'],
  'POST /v1/check': ['read', 'ingest'],
  [`DELETE ${one}`]: [],
  [`POST ${one}/revoke`]: [],
  [`PUT ${one}/hold`]: [],
  [`DELETE ${one}/hold`]: [],
  'GET /v1/accounts/:accountId': [],
  'PUT /v1/accounts/:accountId': [],
  'PUT /v1/accounts/:accountId/hold': [],
  'DELETE /v1/accounts/:accountId/hold': [],
  'POST /v1/erasures': [],
};

const callers = new WeakMap<FastifyRequest, Caller>();

/** Verifies the API key of each request, its role, and the account in the path. Counts the request for the account. */
export function requireApiKey(
  app: FastifyInstance,
  apiKeys: ApiKeys,
  failures: Failures,
  accountLimit: AccountLimit,
): void {
  app.addHook('onRequest', async (request) => {
    failures.credentials.requireNoPause(request);
    const caller = apiKeys.verify(request.headers.authorization);
    callers.set(request, caller);
    const method = request.method === 'HEAD' ? 'GET' : request.method;
    requireRole(caller, allowed[`${method} ${request.routeOptions.url}`]);
    const { accountId } = request.params as { accountId?: string };
    // As for a recording that does not exist: a key does not learn which accounts there are.
    if (accountId === undefined) return;
    if (!mayActFor(caller, accountId)) throw new Problem('not_found');
    await accountLimit.add(request, accountId);
  });
}

/** @throws Problem `forbidden` that names the role */
export function requireRole({ role }: Caller, roles: readonly ApiRole[] = []): void {
  if (role === 'admin' || roles.includes(role)) return;
  const needed = [...roles, 'admin'].join(' or ');
  throw new Problem(
    'forbidden',
    `This request needs an API key with the role ${needed}, and this key has the role ${role}.`,
  );
}

/** @throws Problem `forbidden` if the key may not act for the account that the request names */
export function requireAccount(caller: Caller, accountId: string): void {
  if (mayActFor(caller, accountId)) return;
  throw new Problem('forbidden', 'This API key is not for the account that accountId names.');
}

/** @throws Problem `forbidden` if the key is for some accounts only */
export function requireEveryAccount({ accountIds }: Caller, what: string): void {
  if (accountIds === undefined) return;
  throw new Problem('forbidden', `${what} needs an API key for every account.`);
}

export function mayActFor({ accountIds }: Caller, accountId: string): boolean {
  return accountIds === undefined || accountIds.has(accountId);
}

/** Whose API key a request of `/v1` has. */
export function callerOf(request: FastifyRequest): Caller {
  return callers.get(request)!;
}
