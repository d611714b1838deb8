import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** How old a v3 signature may be, as HubSpot's page on validating requests says, in milliseconds. */
const MAX_AGE = 300_000;
/** How far ahead of ours HubSpot's clock may run, in milliseconds. */
const MAX_SKEW = 30_000;

/** A request as it arrived, and what to hold it against. */
export interface SignedRequest {
  method: string;
  /**
   * What HubSpot calls this gateway, without a slash at the end. A proxy in front changes scheme and host
   * on the way, so neither the socket nor the Host header can tell what was signed.
   */
  publicUrl: string;
  /** Path and query, raw: nothing decoded, parameters in their order. */
  target: string;
  headers: IncomingHttpHeaders;
  /** Exactly the bytes received; empty for GET. */
  body: string | Uint8Array;
  /** The app's client secret; where it is empty nothing is ever valid. */
  clientSecret: string;
  /** Milliseconds. */
  now: number;
}

/**
 * Whether HubSpot signed this request, by version 3, 2 or 1 of its signatures. A v3 signature decides alone:
 * a wrong one is not made good by an older one beside it.
 *
 * v1 signs the secret and the body. Without a body that is one constant for every request there will ever
 * be: whoever saw it once could ask for any recording, so v1 counts only where there is a body.
 *
 * @see HubSpot, "Validating requests from HubSpot"
 */
export function verifySignature(request: SignedRequest): boolean {
  const { method, publicUrl, target, headers, body, clientSecret, now } = request;
  if (clientSecret === '' || !target.startsWith('/')) return false;
  // HubSpot's own libraries sign the URI as it is, its documentation a partly decoded one.
  const uris = [publicUrl + target, decodeSome(publicUrl + target)];

  const v3 = headers['x-hubspot-signature-v3'];
  if (v3 !== undefined) {
    const timestamp = String(headers['x-hubspot-request-timestamp']);
    if (!isRecent(timestamp, now)) return false;
    return uris.some((uri) => {
      const hmac = createHmac('sha256', clientSecret)
        .update(method + uri)
        .update(body)
        .update(timestamp);
      return equal(v3, hmac.digest('base64'));
    });
  }

  const signature = headers['x-hubspot-signature'];
  switch (headers['x-hubspot-signature-version']) {
    case 'v2':
      return uris.some((uri) => equal(signature, sha256(clientSecret + method + uri, body)));
    case 'v1':
      return body.length > 0 && equal(signature, sha256(clientSecret, body));
    default:
      return false;
  }
}

/** v3 timestamps are milliseconds since 1970. */
function isRecent(timestamp: string, now: number): boolean {
  const age = /^\d{1,15}$/.test(timestamp) ? now - Number(timestamp) : Number.NaN;
  return age <= MAX_AGE && age >= -MAX_SKEW;
}

/** HubSpot's documentation decodes these escapes before signing, and no others. */
function decodeSome(uri: string): string {
  return uri.replace(/%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi, decodeURIComponent);
}

function sha256(start: string, body: string | Uint8Array): string {
  return createHash('sha256').update(start).update(body).digest('hex');
}

function equal(given: string | string[] | undefined, expected: string): boolean {
  const [one, other] = [Buffer.from(String(given)), Buffer.from(expected)];
  return one.length === other.length && timingSafeEqual(one, other);
}
