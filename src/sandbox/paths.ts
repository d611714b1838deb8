import { type HubSpotVersion, hubspotVersions } from '../settings/hubspot-versions.ts';

const versions: HubSpotVersion[] = Object.values(hubspotVersions);

type PathName = 'recordingSettings' | 'calls' | 'defaultAssociation' | 'ready' | 'transcripts' | 'token';

/** One path in every version of HubSpot's API, as patterns of Fastify. */
export function pathsOf(name: PathName): string[] {
  return unique(versions.map((version) => version[name]));
}

/** The paths that make an association whose type is in the path, or in the body. */
export function associationPaths(typeIn: HubSpotVersion['associationTypeIn']): string[] {
  const chosen = versions.filter((version) => version.associationTypeIn === typeIn);
  return unique(chosen.map(({ association }) => association));
}

/** Versions may share a path, and Fastify takes each pattern once. */
function unique(paths: string[]): string[] {
  return [...new Set(paths.map((path) => path.replace(/\{(\w+)\}/g, ':$1')))];
}
