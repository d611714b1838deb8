import type { Config } from './settings/config.ts';

/** The shape of every URL that this gateway gives out, for the code that builds one and the code that reads one. */

/** Paths of the routes, as patterns of Fastify. */
export const streamRoute = '/stream/:token';
/** `*` is the externalId: HubSpot does not document whether it encodes a slash in it. */
export const retrieveRoute = '/retrieve/authenticated/recordings/*';
export const keyedRetrieveRoute = `/k/:accessKey${retrieveRoute}` as const;
export const installRoute = '/oauth/install';
export const callbackRoute = '/oauth/callback';

/**
 * The URL at which HubSpot and players reach this gateway, without a slash at its end.
 *
 * @param server is read only if the setting is empty: with port 0 only the listening server knows its URL
 */
export function publicBase(
  { publicUrl }: Pick<Config, 'publicUrl'>,
  server: { listeningOrigin: string },
): string {
  return publicUrl || server.listeningOrigin;
}

/** The authenticated URL of a recording. */
export function streamUrl(base: string, token: string): string {
  return `${base}/stream/${token}`;
}

/** The token in a stream URL. Undefined if it is not a stream URL. */
export function tokenIn(url: string): string | undefined {
  return /.*\/stream\/([^/?#]+)/.exec(url)?.[1];
}

/** What is registered at HubSpot. HubSpot puts the externalId in the place of `%s`. */
export function retrieveUrlTemplate(
  { publicUrl, retrieveAuth }: Pick<Config, 'publicUrl' | 'retrieveAuth'>,
  accessKey: string,
): string {
  const key = retrieveAuth.includes('key') ? `/k/${accessKey}` : '';
  return `${publicUrl}${key}/retrieve/authenticated/recordings/%s`;
}

/** The URL that HubSpot requests for a recording: the registered one with the ids in it. */
export function retrieveUrl(
  template: string,
  { externalId, ...query }: { externalId: string; externalAccountId: string; appId: string },
): string {
  return `${template.replaceAll('%s', encodeURIComponent(externalId))}?${new URLSearchParams(query)}`;
}

/**
 * The externalId in the target of a retrieve request, decoded once. If it cannot be decoded, it is taken as it is.
 *
 * @param target path and query as they were received, with nothing decoded
 */
export function externalIdIn(target: string): string {
  const path = target.split('?', 1)[0]!;
  const encoded = path.slice(path.indexOf('/recordings/') + '/recordings/'.length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** Where HubSpot redirects the browser back to. It is registered in the app. */
export function callbackUrl(base: string): string {
  return `${base}${callbackRoute}`;
}

/** The path of the OAuth routes as a browser sees it, for the cookie of an installation. */
export function oauthPath(base: string): string {
  return `${base.replace(/^https?:\/\/[^/]*/, '')}/oauth`;
}
