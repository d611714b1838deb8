import type { FastifyInstance } from 'fastify';
import { validationError } from './api-error.ts';
import { type Authorize, writeCalls } from './authorize.ts';
import { requiredMembers } from './body.ts';
import type { Pickups } from './pickups.ts';
import type { World } from './world.ts';

const paths = [
  '/crm/extensions/calling/2026-03/recordings/ready',
  '/crm/v3/extensions/calling/recordings/ready',
];

/** Marks the recording of a call ready, after which HubSpot picks it up. */
export function readyRoute(app: FastifyInstance, world: World, authorize: Authorize, pickups: Pickups): void {
  for (const path of paths) {
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
