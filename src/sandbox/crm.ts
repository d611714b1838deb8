import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Sandbox, SandboxOptions } from './hubspot.ts';
import { checkedProperties } from './properties.ts';
import { membersOf, missingScopes, notFound, refused } from './refusal.ts';
import { search } from './search.ts';
import type { SandboxAccount, SandboxCall, World } from './world.ts';

const readCalls = 'crm.objects.contacts.read';
const writeCalls = 'crm.objects.contacts.write';

/** The ids of HubSpot's default associations of calls. */
const defaultTypeIds: Record<string, number> = { contacts: 194, companies: 182, deals: 206, tickets: 220 };

type Call = { Params: { id: string; to: string; toId: string; typeId: string } };

/** HubSpot's CRM as far as calls need it, under both generations of paths. */
export function crmRoutes(
  app: FastifyInstance,
  world: World,
  options: SandboxOptions,
  sandbox: Pick<Sandbox, 'pickUp'>,
) {
  const { requests = 110, windowMs = 10_000, searches = 5 } = options.limits ?? {};

  /** Who asks, within their limit and their scopes. */
  function account(request: FastifyRequest, scope: string): SandboxAccount {
    const asking = world.accountOf(request.headers.authorization);
    world.count(asking.portalId, 'TEN_SECONDLY_ROLLING', requests, windowMs);
    if (asking.scopes && !asking.scopes.includes(scope)) throw missingScopes([scope]);
    return asking;
  }

  for (const calls of ['/crm/objects/2026-03/calls', '/crm/v3/objects/calls']) {
    app.post(calls, (request, reply) => {
      const { portalId } = account(request, writeCalls);
      const { properties, associations } = membersOf(request.body, 'properties', 'associations');
      if (!Array.isArray(associations)) throw refused(400, 'VALIDATION_ERROR', 'associations is required.');
      const call = world.addCall(portalId, checkedProperties(properties, options, true));
      for (const { to, types } of associations as {
        to: { id: string };
        types: { associationTypeId: number }[];
      }[]) {
        for (const { associationTypeId } of types)
          associate(call, typeOf(associationTypeId), to.id, associationTypeId);
      }
      reply.code(201).send(shown(call));
    });

    app.post(`${calls}/search`, (request, reply) => {
      const { portalId } = account(request, readCalls);
      world.count(portalId, 'SECONDLY', searches, 1_000);
      const { searchLagMs = 5_000 } = options;
      const indexed = [...world.calls.values()].filter(
        (call) => call.portalId === portalId && Date.now() >= call.createdAt.getTime() + searchLagMs,
      );
      const { total, results, paging } = search(indexed, request.body);
      reply.send({ total, results: results.map((call) => shown(call)), ...(paging && { paging }) });
    });

    app.get<Call>(`${calls}/:id`, (request, reply) => {
      const { portalId } = account(request, readCalls);
      reply.send(shown(world.call(portalId, request.params.id), request.query as Record<string, unknown>));
    });

    app.patch<Call>(`${calls}/:id`, (request, reply) => {
      const { portalId } = account(request, writeCalls);
      const call = world.call(portalId, request.params.id);
      const { properties } = membersOf(request.body, 'properties');
      Object.assign(call.properties, checkedProperties(properties, options, false));
      call.updatedAt = new Date();
      reply.send(shown(call));
    });

    app.delete<Call>(`${calls}/:id`, (request, reply) => {
      const { portalId } = account(request, writeCalls);
      world.calls.delete(world.call(portalId, request.params.id).id);
      reply.code(204).send();
    });
  }

  for (const generation of ['/crm/objects/2026-03/calls', '/crm/v4/objects/calls']) {
    app.put<Call>(`${generation}/:id/associations/default/:to/:toId`, (request, reply) => {
      const call = world.call(account(request, writeCalls).portalId, request.params.id);
      const { to, toId } = request.params;
      const at = new Date();
      const typeId = associate(call, to, toId, defaultTypeIds[to] ?? 1);
      const associationSpec = { associationCategory: 'HUBSPOT_DEFINED', associationTypeId: typeId };
      const results = [{ from: { id: call.id }, to: { id: toId }, associationSpec }];
      reply.send({ status: 'COMPLETE', startedAt: at, completedAt: at, results });
    });

    app.put<Call>(`${generation}/:id/associations/:to/:toId`, (request, reply) => {
      const call = world.call(account(request, writeCalls).portalId, request.params.id);
      const { to, toId } = request.params;
      const types = request.body as
        | { associationCategory?: unknown; associationTypeId?: unknown }[]
        | undefined;
      if (!Array.isArray(types) || types.length === 0) {
        throw refused(
          400,
          'VALIDATION_ERROR',
          'Invalid input JSON: a list of association types is required.',
        );
      }
      for (const { associationTypeId } of types) associate(call, to, toId, Number(associationTypeId));
      const pair = { fromObjectTypeId: '0-48', fromObjectId: call.id, toObjectTypeId: to, toObjectId: toId };
      reply.code(201).send({ ...pair, labels: [] });
    });
  }

  // The path of HubSpot's page of August 2025; it is in none of HubSpot's specifications.
  app.put<Call>('/crm/v3/objects/calls/:id/associations/:to/:toId/:typeId', (request, reply) => {
    const call = world.call(account(request, writeCalls).portalId, request.params.id);
    const { to, toId, typeId } = request.params;
    associate(call, to, toId, Number(typeId));
    reply.send(shown(call, { associations: to }));
  });

  for (const ready of [
    '/crm/extensions/calling/2026-03/recordings/ready',
    '/crm/v3/extensions/calling/recordings/ready',
  ]) {
    app.post(ready, (request, reply) => {
      const asking = account(request, writeCalls);
      const { engagementId } = membersOf(request.body, 'engagementId');
      if (!Number.isSafeInteger(engagementId))
        throw refused(400, 'VALIDATION_ERROR', 'engagementId must be an integer.');
      const call = world.call(asking.portalId, String(engagementId));
      call.ready++;
      sandbox.pickUp(call, asking);
      reply.code(204).send();
    });
  }

  for (const transcripts of [
    '/crm/extensions/calling/2026-03/transcripts',
    '/crm/v3/extensions/calling/transcripts',
  ]) {
    app.post(transcripts, (request, reply) => {
      const { portalId } = account(request, 'crm.extensions_calling_transcripts.write');
      const { engagementId, transcriptCreateUtterances: said } = membersOf(
        request.body,
        'engagementId',
        'transcriptCreateUtterances',
      );
      if (!Array.isArray(said))
        throw refused(400, 'VALIDATION_ERROR', 'transcriptCreateUtterances is required.');
      const call = world.call(portalId, String(engagementId));
      const id = world.newId();
      const at = new Date().toISOString();
      const transcriptUtterances = said.map((utterance, index) => ({ ...utterance, id: `${id}-${index}` }));
      const facts = { id, engagementId: Number(call.id), createdAt: at, updatedAt: at };
      world.addTranscript(id, { ...facts, transcriptSource: 'INTEGRATOR_GENERATED', transcriptUtterances });
      Object.assign(call.properties, { hs_call_has_transcript: 'true', hs_call_transcription_id: id });
      reply.send({ id });
    });

    app.get<Call>(`${transcripts}/:id`, (request, reply) => {
      account(request, 'crm.extensions_calling_transcripts.read');
      const transcript = world.transcripts.get(request.params.id);
      if (!transcript) throw notFound();
      reply.send(transcript);
    });

    app.delete<Call>(`${transcripts}/:id`, (request, reply) => {
      account(request, 'crm.extensions_calling_transcripts.write');
      if (!world.transcripts.delete(request.params.id)) throw notFound();
      reply.code(204).send();
    });
  }

  function associate(call: SandboxCall, objectType: string, objectId: string, typeId: number): number {
    if (!/^\d+$/.test(objectId)) throw notFound(`No ${objectType} with id ${objectId}.`);
    if (!Number.isInteger(typeId))
      throw refused(400, 'VALIDATION_ERROR', 'associationTypeId must be an integer.');
    call.associations.set(`${objectType}/${objectId}`, { objectType, objectId, typeId });
    return typeId;
  }
}

function typeOf(typeId: number): string {
  return Object.keys(defaultTypeIds).find((name) => defaultTypeIds[name] === typeId) ?? 'contacts';
}

/** A call as HubSpot shows it, with the properties and associations that were asked for. */
function shown(call: SandboxCall, query: Record<string, unknown> = {}) {
  const named = (value: unknown) => [value ?? []].flat().flatMap((names) => String(names).split(','));
  const properties = named(query.properties);
  const all = { ...call.properties, hs_object_id: call.id, hs_createdate: call.createdAt.toISOString() };
  const chosen = Object.entries(all).filter(([name]) => properties.length === 0 || properties.includes(name));
  const associations = named(query.associations).map((objectType) => {
    const of = [...call.associations.values()].filter((association) => association.objectType === objectType);
    const type = `call_to_${objectType}`;
    return [objectType, { results: of.map(({ objectId }) => ({ id: objectId, type })) }];
  });
  return {
    id: call.id,
    properties: Object.fromEntries(chosen),
    createdAt: call.createdAt,
    updatedAt: call.updatedAt,
    archived: false,
    ...(associations.length > 0 && { associations: Object.fromEntries(associations) }),
  };
}
