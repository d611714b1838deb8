import type { FastifyRequest } from 'fastify';
import type { RateLimits } from './rate-limits.ts';
import { requireScope, type SandboxAccount, type World } from './world.ts';

export const readCalls = 'crm.objects.contacts.read';
export const writeCalls = 'crm.objects.contacts.write';

/** The account of a request to the CRM, if the rate limit and the scopes allow it. */
export type Authorize = (request: FastifyRequest, scope: string) => SandboxAccount;

/** The function throws ApiError 401, 403 or 429. */
export function authorizer(world: World, limits: RateLimits): Authorize {
  return ({ headers }, scope) => {
    const account = world.authenticate(headers.authorization);
    limits.countRequest(account.portalId);
    requireScope(account, scope);
    return account;
  };
}
