import type { FastifyInstance } from 'fastify';
import { validationError } from './api-error.ts';
import { type Authorize, writeCalls } from './authorize.ts';
import { requiredMembers } from './body.ts';
import { pathsOf } from './paths.ts';
import type { Pickups } from './pickups.ts';
import type { World } from './world.ts';

/** Marks the recording of a call ready, after which HubSpot picks it up. */
export function readyRoute(app: FastifyInstance, world: World, authorize: Authorize, pickups: Pickups): void {
  for (const path of pathsOf('ready')) {
    app.post(path, (request, reply) => {
      const account = authorize(request, writeCalls);
      const { engagementId } = requiredMembers(request.body, 'engagementId');
      if (!Number.isSafeInteger(engagementId)) throw validationError('engagementId must be an integer.');
      const call = world.call(account.portalId, String(engagementId));
      call.ready++;
      pickups.add(call, account);
      reply.code(204).send();
    });
  }
}
