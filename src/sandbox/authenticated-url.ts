import { createHmac } from 'node:crypto';
import type { SandboxCall } from './world.ts';

export interface RetrieveOptions {
  /** Whether `appId` and `externalAccountId` are in the query, as on HubSpot's page. Default: true. */
  query?: boolean;
  /** Signs the request with HubSpot's v3 signature and this client secret. Default: no signature. */
  clientSecret?: string | undefined;
}

/** HubSpot cannot get the recording. The message is a reason on the timeline. */
export class PickupError extends Error {}

const timeoutMs = 5_000;

/**
 * Requests the authenticated URL of a call, as HubSpot does when a record is opened or a transcription begins.
 *
 * @param template the registered URL, with `%s`; undefined if the app has none
 * @throws PickupError
 */
export async function requestAuthenticatedUrl(
  template: string | undefined,
  call: SandboxCall,
  options: RetrieveOptions,
): Promise<string> {
  if (template === undefined) throw new PickupError('No URL for recordings is registered for this app.');
  const url = requestUrl(template, call, options);
  const response = await fetch(url, {
    headers: { accept: 'application/json', ...signature(url, options.clientSecret) },
    redirect: 'manual', // the request is signed, and its URL may contain the access key
    signal: AbortSignal.timeout(timeoutMs),
  }).catch(() => {
    throw new PickupError('The endpoint for authenticated URLs cannot be reached.');
  });
  const body = await response.json().catch(() => undefined);
  if (response.status !== 200) {
    throw new PickupError(`The endpoint for authenticated URLs returned ${response.status}.`);
  }
  const authenticatedUrl = (body as { authenticatedUrl?: unknown } | undefined)?.authenticatedUrl;
  if (typeof authenticatedUrl !== 'string' || !URL.canParse(authenticatedUrl)) {
    throw new PickupError('The response of the endpoint has no "authenticatedUrl".');
  }
  return authenticatedUrl;
}

/** The registered URL with the call's external id in the place of `%s`. */
function requestUrl(
  template: string,
  { properties }: SandboxCall,
  { query = true }: RetrieveOptions,
): string {
  const {
    hs_call_external_id: externalId = '',
    hs_call_app_id: appId = '',
    hs_call_external_account_id: externalAccountId = '',
  } = properties;
  const url = template.replaceAll('%s', encodeURIComponent(externalId));
  if (!query) return url;
  return `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams({ appId, externalAccountId })}`;
}

/** HubSpot's v3 signature: HMAC-SHA256 of method, URI, body and timestamp, in base64. */
function signature(url: string, clientSecret: string | undefined): Record<string, string> {
  if (clientSecret === undefined) return {};
  const timestamp = String(Date.now());
  const hmac = createHmac('sha256', clientSecret).update(`GET${url}${timestamp}`);
  return {
    'X-HubSpot-Request-Timestamp': timestamp,
    'X-HubSpot-Signature-v3': hmac.digest('base64'),
  };
}
