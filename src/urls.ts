import type { Config } from './settings/config.ts';

/** The shape of every URL that this gateway gives out, for the code that builds one and the code that reads one. */

/** Paths of the routes, in Fastify's syntax. */
export const streamRoute = '/stream/:token';
/** `*` is the externalId: HubSpot does not document whether it encodes a slash in it. */
export const retrieveRoute = '/retrieve/authenticated/recordings/*';
export const keyedRetrieveRoute = `/k/:accessKey${retrieveRoute}` as const;
export const installRoute = '/oauth/install';
export const callbackRoute = '/oauth/callback';

/**
 * The URL at which HubSpot and players reach this gateway, without a slash at its end.
 *
 * @param server used only if `publicUrl` is empty: with port 0, only the listening server knows its port
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

/** The token after the last `/stream/` of a URL. Undefined if the URL is no stream URL. */
export function tokenIn(url: string): string | undefined {
  return /.*\/stream\/([^/?#]+)/.exec(url)?.[1];
}

/** The URL that is registered at HubSpot. HubSpot replaces `%s` with the externalId. */
export function retrieveUrlTemplate(
  { publicUrl, retrieveAuth }: Pick<Config, 'publicUrl' | 'retrieveAuth'>,
  accessKey: string,
): string {
  const keyPath = retrieveAuth.includes('key') ? `/k/${accessKey}` : '';
  return `${publicUrl}${keyPath}/retrieve/authenticated/recordings/%s`;
}

/** The URL that HubSpot requests: the registered one with the externalId filled in and the other ids as its query. */
export function retrieveUrl(
  template: string,
  { externalId, ...query }: { externalId: string; externalAccountId: string; appId: string },
): string {
  return `${template.replaceAll('%s', encodeURIComponent(externalId))}?${new URLSearchParams(query)}`;
}

/**
 * The externalId in the target of a retrieve request, decoded once. If it cannot be decoded, it is taken as it is.
 *
 * @param target path and query as received, not decoded
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

/** The URL that HubSpot redirects the browser to after an installation. It is registered in the HubSpot app. */
export function callbackUrl(base: string): string {
  return `${base}${callbackRoute}`;
}

/** The path of the OAuth routes as the browser sees it. The cookie of an installation is limited to it. */
export function oauthPath(base: string): string {
  return `${base.replace(/^https?:\/\/[^/]*/, '')}/oauth`;
}
