import type { FastifyInstance } from 'fastify';
import { notFound, validationError } from './api-error.ts';
import { type Authorize, writeCalls } from './authorize.ts';
import { callBody } from './call-body.ts';
import type { SandboxCall, World } from './world.ts';

type ToObject = { Params: { id: string; to: string; toId: string; typeId: string } };

/** The ids of HubSpot's default associations of calls. */
const defaultTypeIds: Record<string, number> = { contacts: 194, companies: 182, deals: 206, tickets: 220 };

export function associationRoutes(app: FastifyInstance, world: World, authorize: Authorize): void {
  for (const calls of ['/crm/objects/2026-03/calls', '/crm/v4/objects/calls']) {
    app.put<ToObject>(`${calls}/:id/associations/default/:to/:toId`, (request, reply) => {
      const { id, to, toId } = request.params;
      const call = world.call(authorize(request, writeCalls).portalId, id);
      const now = new Date();
      const typeId = associate(call, to, toId, defaultTypeIds[to] ?? 1);
      const associationSpec = { associationCategory: 'HUBSPOT_DEFINED', associationTypeId: typeId };
      const results = [{ from: { id: call.id }, to: { id: toId }, associationSpec }];
      reply.send({ status: 'COMPLETE', startedAt: now, completedAt: now, results });
    });

    app.put<ToObject>(`${calls}/:id/associations/:to/:toId`, (request, reply) => {
      const { id, to, toId } = request.params;
      const call = world.call(authorize(request, writeCalls).portalId, id);
      for (const { associationTypeId } of associationTypes(request.body)) {
        associate(call, to, toId, Number(associationTypeId));
      }
      const pair = { fromObjectTypeId: '0-48', fromObjectId: call.id, toObjectTypeId: to, toObjectId: toId };
      reply.code(201).send({ ...pair, labels: [] });
    });
  }

  // HubSpot's page of August 2025 has this path. None of HubSpot's specifications has it.
  app.put<ToObject>('/crm/v3/objects/calls/:id/associations/:to/:toId/:typeId', (request, reply) => {
    const { id, to, toId, typeId } = request.params;
    const call = world.call(authorize(request, writeCalls).portalId, id);
    associate(call, to, toId, Number(typeId));
    reply.send(callBody(call, { associations: to }));
  });
}

function associationTypes(body: unknown): { associationTypeId?: unknown }[] {
  if (Array.isArray(body) && body.length > 0) return body;
  throw validationError('Invalid input JSON: a list of association types is required.');
}

/** @throws ApiError 404 or 400 if an id is not a number */
export function associate(call: SandboxCall, objectType: string, objectId: string, typeId: number): number {
  if (!/^\d+$/.test(objectId)) throw notFound(`No ${objectType} with id ${objectId}.`);
  if (!Number.isInteger(typeId)) throw validationError('associationTypeId must be an integer.');
  call.associations.set(`${objectType}/${objectId}`, { objectType, objectId, typeId });
  return typeId;
}

/** The object type of a default association, or `contacts`. */
export function objectTypeOf(typeId: number): string {
  return Object.keys(defaultTypeIds).find((name) => defaultTypeIds[name] === typeId) ?? 'contacts';
}
