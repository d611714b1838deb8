import type { Association } from '../crm/call.ts';
import type { HubSpotVersion } from '../settings/hubspot-versions.ts';

/** Fills in the names of a path of `HubSpotVersion`. Each value is percent-encoded, so that it stays one segment. */
export function fill(path: string, values: Record<string, string | number>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name]!));
}

/** Path and body of the request that associates a call with a record. */
export function associationRequest(
  version: HubSpotVersion,
  callId: string,
  to: Association,
): { path: string; body?: unknown } {
  const { objectType, objectId } = to;
  const associationTypeId = to.associationTypeId ?? version.defaultTypeIds[objectType];
  if (associationTypeId === undefined) {
    return { path: fill(version.defaultAssociation, { callId, objectType, objectId }) };
  }
  return {
    path: fill(version.association, { callId, objectType, objectId, associationTypeId }),
    ...(version.associationTypeIn === 'body' && {
      body: [{ associationCategory: 'HUBSPOT_DEFINED', associationTypeId }],
    }),
  };
}
