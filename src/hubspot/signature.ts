import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** Age after which a v3 signature is no longer valid (HubSpot, "Validating requests"). */
const maxAgeMs = 300_000;
/** How far HubSpot's clock may be ahead of ours. */
const maxSkewMs = 30_000;

/** A request as it arrived, and what it takes to verify its signature. */
export interface SignedRequest {
  method: string;
  /**
   * This gateway's URL for HubSpot, without a slash at the end. A proxy may change scheme and host, so neither the
   * socket nor the Host header shows what was signed.
   */
  publicUrl: string;
  /** Path and query as received: nothing decoded, parameters in their order. */
  target: string;
  headers: IncomingHttpHeaders;
  /** Exactly the bytes received; empty for GET. */
  body: string | Uint8Array;
  /** The app's client secret; if it is empty, no signature is valid. */
  clientSecret: string;
  /** Milliseconds since 1970. */
  now: number;
}

/**
 * Whether HubSpot signed this request, by version 3, 2 or 1 of its signatures. If there is a v3 signature, older ones
 * are ignored.
 *
 * v2 signs no time, so it can be replayed for as long as the client secret stays. HubSpot does not document which version
 * it sends with the request for a recording, so v2 is accepted.
 *
 * v1 signs the secret and the body. Without a body the signature is the same for every request: whoever saw it once
 * could request any recording. A v1 signature is therefore valid only if there is a body.
 *
 * @see HubSpot, "Validating requests from HubSpot"
 */
export function verifySignature(request: SignedRequest): boolean {
  const { method, publicUrl, target, headers, body, clientSecret, now } = request;
  if (clientSecret === '' || !target.startsWith('/')) return false;
  // HubSpot's libraries sign the URI as it is; its documentation signs a partly decoded one.
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
  const ageMs = /^\d{1,15}$/.test(timestamp) ? now - Number(timestamp) : Number.NaN;
  return ageMs <= maxAgeMs && ageMs >= -maxSkewMs;
}

/** Decodes the escapes that HubSpot's documentation decodes before signing, and no others. */
function decodeSome(uri: string): string {
  return uri.replace(/%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi, decodeURIComponent);
}

function sha256(start: string, body: string | Uint8Array): string {
  return createHash('sha256').update(start).update(body).digest('hex');
}

function equal(given: string | string[] | undefined, expected: string): boolean {
  const [givenBytes, expectedBytes] = [Buffer.from(String(given)), Buffer.from(expected)];
  return givenBytes.length === expectedBytes.length && timingSafeEqual(givenBytes, expectedBytes);
}
