import type { FastifyInstance } from 'fastify';
import { validationError } from './api-error.ts';
import { associate, objectTypeOf } from './associations.ts';
import { type Authorize, readCalls, writeCalls } from './authorize.ts';
import { requiredMembers } from './body.ts';
import { callBody } from './call-body.ts';
import { pathsOf } from './paths.ts';
import { type PropertyOptions, validProperties } from './properties.ts';
import type { RateLimits } from './rate-limits.ts';
import { search } from './search.ts';
import type { World } from './world.ts';

export interface CallOptions extends PropertyOptions {
  /** How long search does not find a new call. Default: 5 s. HubSpot's takes up to 30 s. */
  searchLagMs?: number;
}

interface NewAssociation {
  to: { id: string };
  types: { associationTypeId: number }[];
}

type ById = { Params: { id: string } };

export function callRoutes(
  app: FastifyInstance,
  world: World,
  authorize: Authorize,
  limits: RateLimits,
  options: CallOptions,
): void {
  for (const path of pathsOf('calls')) {
    app.post(path, (request, reply) => {
      const { portalId } = authorize(request, writeCalls);
      const { properties, associations } = requiredMembers(request.body, 'properties', 'associations');
      if (!Array.isArray(associations)) throw validationError('associations is required.');
      const call = world.addCall(portalId, validProperties(properties, options, true));
      for (const { to, types } of associations as NewAssociation[]) {
        for (const { associationTypeId } of types) {
          associate(call, objectTypeOf(associationTypeId), to.id, associationTypeId);
        }
      }
      reply.code(201).send(callBody(call));
    });

    app.post(`${path}/search`, (request, reply) => {
      const { portalId } = authorize(request, readCalls);
      limits.countSearch(portalId);
      const { searchLagMs = 5_000 } = options;
      const indexed = [...world.calls.values()].filter(
        (call) => call.portalId === portalId && Date.now() >= call.createdAt.getTime() + searchLagMs,
      );
      const { total, results, paging } = search(indexed, request.body);
      reply.send({ total, results: results.map((call) => callBody(call)), ...(paging && { paging }) });
    });

    app.get<ById>(`${path}/:id`, (request, reply) => {
      const { portalId } = authorize(request, readCalls);
      const call = world.call(portalId, request.params.id);
      reply.send(callBody(call, request.query as Record<string, unknown>));
    });

    app.patch<ById>(`${path}/:id`, (request, reply) => {
      const { portalId } = authorize(request, writeCalls);
      const call = world.call(portalId, request.params.id);
      const { properties } = requiredMembers(request.body, 'properties');
      Object.assign(call.properties, validProperties(properties, options, false));
      call.updatedAt = new Date();
      reply.send(callBody(call));
    });

    app.delete<ById>(`${path}/:id`, (request, reply) => {
      const { portalId } = authorize(request, writeCalls);
      world.calls.delete(world.call(portalId, request.params.id).id);
      reply.code(204).send();
    });
  }
}
