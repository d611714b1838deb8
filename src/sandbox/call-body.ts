import type { SandboxCall } from './world.ts';

/** A call in HubSpot's shape, with the properties and associations that the query names. */
export function callBody(call: SandboxCall, query: Record<string, unknown> = {}) {
  const namesIn = (value: unknown) => [value ?? []].flat().flatMap((names) => String(names).split(','));
  const wanted = namesIn(query.properties);
  const all = { ...call.properties, hs_object_id: call.id, hs_createdate: call.createdAt.toISOString() };
  const properties = Object.entries(all).filter(([name]) => wanted.length === 0 || wanted.includes(name));
  const associations = namesIn(query.associations).map((objectType) => {
    const ofType = [...call.associations.values()].filter((each) => each.objectType === objectType);
    const type = `call_to_${objectType}`;
    return [objectType, { results: ofType.map(({ objectId }) => ({ id: objectId, type })) }];
  });
  return {
    id: call.id,
    properties: Object.fromEntries(properties),
    createdAt: call.createdAt,
    updatedAt: call.updatedAt,
    archived: false,
    ...(associations.length > 0 && { associations: Object.fromEntries(associations) }),
  };
}
