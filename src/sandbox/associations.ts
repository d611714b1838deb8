import type { FastifyInstance } from 'fastify';
import { notFound, validationError } from './api-error.ts';
import { type Authorize, writeCalls } from './authorize.ts';
import { callBody } from './call-body.ts';
import { associationPaths, pathsOf } from './paths.ts';
import type { SandboxCall, World } from './world.ts';

type ToObject = {
  Params: { callId: string; objectType: string; objectId: string; associationTypeId: string };
};

/** The ids of HubSpot's default associations of calls. */
const defaultTypeIds: Record<string, number> = { contacts: 194, companies: 182, deals: 206, tickets: 220 };

export function associationRoutes(app: FastifyInstance, world: World, authorize: Authorize): void {
  for (const path of pathsOf('defaultAssociation')) {
    app.put<ToObject>(path, (request, reply) => {
      const { callId, objectType, objectId } = request.params;
      const call = world.call(authorize(request, writeCalls).portalId, callId);
      const now = new Date();
      const associationTypeId = associate(call, objectType, objectId, defaultTypeIds[objectType] ?? 1);
      const associationSpec = { associationCategory: 'HUBSPOT_DEFINED', associationTypeId };
      const results = [{ from: { id: call.id }, to: { id: objectId }, associationSpec }];
      reply.send({ status: 'COMPLETE', startedAt: now, completedAt: now, results });
    });
  }

  for (const path of associationPaths('body')) {
    app.put<ToObject>(path, (request, reply) => {
      const { callId, objectType, objectId } = request.params;
      const call = world.call(authorize(request, writeCalls).portalId, callId);
      for (const { associationTypeId } of associationTypes(request.body)) {
        associate(call, objectType, objectId, Number(associationTypeId));
      }
      const from = { fromObjectTypeId: '0-48', fromObjectId: call.id };
      reply.code(201).send({ ...from, toObjectTypeId: objectType, toObjectId: objectId, labels: [] });
    });
  }

  // HubSpot's page of August 2025 has this path. None of HubSpot's specifications has it.
  for (const path of associationPaths('path')) {
    app.put<ToObject>(path, (request, reply) => {
      const { callId, objectType, objectId, associationTypeId } = request.params;
      const call = world.call(authorize(request, writeCalls).portalId, callId);
      associate(call, objectType, objectId, Number(associationTypeId));
      reply.send(callBody(call, { associations: objectType }));
    });
  }
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
