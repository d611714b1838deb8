import { createHmac } from 'node:crypto';
import type { Report } from '../audio/report.ts';
import type { SandboxAccount, SandboxCall } from './world.ts';

/** What HubSpot did after a recording was marked ready, and whether it would transcribe the call. */
export interface Pickup {
  transcribed: boolean;
  /** Why not, in plain words; empty where it would. */
  reasons: string[];
  /** What was seen on the way. */
  steps: { step: 'retrieve' | 'download' | 'seek' | 'check'; ok: boolean; seen: string }[];
  report?: Report;
}

export interface PickupOptions {
  /** Whether `appId` and `externalAccountId` are sent; HubSpot's page shows them in the query. */
  query: boolean;
  /** Signs with HubSpot's v3 signature, as the owner of this client secret. */
  clientSecret?: string | undefined;
  /** Judges the audio. Left out: any audio passes. */
  check?: ((audio: Uint8Array, call: SandboxCall) => Promise<Report>) | undefined;
}

const largestRecording = 512 * 1024 * 1024;
const patience = 30_000;

/** What stopped a step; the message is a reason on the timeline. */
class Stop extends Error {}

/** The URL that HubSpot calls for a recording: `%s` replaced, then the account and the app in the query. */
export function retrieveUrl(template: string, call: SandboxCall, query: boolean): string {
  const { hs_call_external_id: id = '', hs_call_app_id: appId = '' } = call.properties;
  const { hs_call_external_account_id: externalAccountId = '' } = call.properties;
  const url = template.replaceAll('%s', encodeURIComponent(id));
  if (!query) return url;
  return `${url}${url.includes('?') ? '&' : '?'}${new URLSearchParams({ appId, externalAccountId })}`;
}

/** Asks for the authenticated URL, as HubSpot does when somebody opens a record or a transcription begins. */
export async function retrieve(template: string, call: SandboxCall, options: PickupOptions): Promise<string> {
  const url = retrieveUrl(template, call, options.query);
  const response = await fetch(url, {
    headers: { accept: 'application/json', ...signature(url, options.clientSecret) },
    signal: AbortSignal.timeout(5_000),
  }).catch(() => {
    throw new Stop('The endpoint for authenticated URLs is out of reach.');
  });
  const body = await response.json().catch(() => undefined);
  if (response.status !== 200)
    throw new Stop(`The endpoint for authenticated URLs answered ${response.status}.`);
  const authenticatedUrl = (body as { authenticatedUrl?: unknown } | undefined)?.authenticatedUrl;
  if (typeof authenticatedUrl !== 'string' || !URL.canParse(authenticatedUrl)) {
    throw new Stop('The endpoint’s answer has no "authenticatedUrl".');
  }
  return authenticatedUrl;
}

/** HubSpot's v3 signature: HMAC-SHA256 of method, URI, body and time, in base64. */
function signature(url: string, clientSecret: string | undefined): Record<string, string> {
  if (clientSecret === undefined) return {};
  const timestamp = String(Date.now());
  return {
    'X-HubSpot-Request-Timestamp': timestamp,
    'X-HubSpot-Signature-v3': createHmac('sha256', clientSecret)
      .update(`GET${url}${timestamp}`)
      .digest('base64'),
  };
}

/** Fetches and judges a recording that was marked ready. Never throws. */
export async function pickUp(
  template: string | undefined,
  call: SandboxCall,
  account: SandboxAccount,
  options: PickupOptions,
): Promise<Pickup> {
  const pickup: Pickup = { transcribed: false, reasons: obstacles(call, account), steps: [] };
  try {
    if (template === undefined) throw new Stop('No URL for recordings is registered for this app.');
    await fetchAndJudge(template, call, options, pickup);
  } catch (error) {
    pickup.reasons.push(
      error instanceof Stop ? error.message : 'The recording could not be read to its end.',
    );
  }
  pickup.transcribed = pickup.reasons.length === 0;
  return pickup;
}

/** What stands against a transcription whatever the audio is. */
function obstacles({ properties }: SandboxCall, account: SandboxAccount): string[] {
  const reasons: string[] = [];
  const { hs_call_source: source, hubspot_owner_id: owner } = properties;
  if (source !== 'INTEGRATIONS_PLATFORM') {
    reasons.push('hs_call_source is not INTEGRATIONS_PLATFORM, so HubSpot never asks for the recording.');
  }
  if (owner !== undefined && account.ownersWithoutSeat?.includes(owner)) {
    reasons.push(`Owner ${owner} has no paid Sales or Service seat.`);
  }
  if (account.transcription === false) reasons.push('Transcription is switched off in this account.');
  return reasons;
}

async function fetchAndJudge(template: string, call: SandboxCall, options: PickupOptions, pickup: Pickup) {
  const seen = (step: Pickup['steps'][number]['step'], ok: boolean, what: string) => {
    pickup.steps.push({ step, ok, seen: what });
  };
  const url = await retrieve(template, call, options);
  seen('retrieve', true, 'an authenticated URL');

  const whole = await fetch(url, { signal: AbortSignal.timeout(patience) });
  const type = whole.headers.get('content-type') ?? 'no content type';
  const audio = await bytesOf(whole);
  seen('download', whole.status === 200, `${whole.status}, ${audio.length} bytes, ${type}`);
  if (whole.status !== 200) throw new Stop(`The authenticated URL answered ${whole.status}.`);
  if (!type.startsWith('application/octet-stream')) {
    pickup.reasons.push(`The recording is served as ${type}, not as an octet-stream.`);
  }

  const first = Math.floor(audio.length / 2);
  const last = Math.min(first + 1023, audio.length - 1);
  const range = `bytes=${first}-${last}`;
  const part = await fetch(url, { headers: { range }, signal: AbortSignal.timeout(patience) });
  const sought = await bytesOf(part);
  const same = part.status === 206 && Buffer.compare(sought, audio.subarray(first, last + 1)) === 0;
  // A player that cannot seek is no obstacle to a transcription.
  seen('seek', same, `${part.status} to ${range}`);

  if (!options.check) return;
  pickup.report = await options.check(audio, call);
  const { verdict, codes, repairs } = pickup.report;
  seen('check', verdict !== 'fail', [verdict, ...codes].join(', '));
  // HubSpot believes that the caller is on channel 1: audio that says nothing of it is transcribed.
  if (verdict === 'fail') pickup.reasons.push(...Object.values(repairs));
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > largestRecording) throw new Stop('The recording is larger than the sandbox reads.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
