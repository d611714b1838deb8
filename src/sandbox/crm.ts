import type { FastifyInstance } from 'fastify';
import { associationRoutes } from './associations.ts';
import { authorizer } from './authorize.ts';
import { type CallOptions, callRoutes } from './calls.ts';
import type { Pickups } from './pickups.ts';
import type { RateLimits } from './rate-limits.ts';
import { readyRoute } from './ready.ts';
import { transcriptRoutes } from './transcripts.ts';
import type { World } from './world.ts';

/** The part of HubSpot's CRM that calls need, under the paths of every API version. */
export function crmRoutes(
  app: FastifyInstance,
  world: World,
  limits: RateLimits,
  pickups: Pickups,
  options: CallOptions,
): void {
  const authorize = authorizer(world, limits);
  callRoutes(app, world, authorize, limits, options);
  associationRoutes(app, world, authorize);
  readyRoute(app, world, authorize, pickups);
  transcriptRoutes(app, world, authorize);
}
