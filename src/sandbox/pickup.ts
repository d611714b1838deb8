import type { Report } from '../audio/report.ts';
import { PickupError, type RetrieveOptions, requestAuthenticatedUrl } from './authenticated-url.ts';
import type { SandboxAccount, SandboxCall } from './world.ts';

/** What HubSpot did after a recording was marked ready, and whether it would transcribe the call. */
export interface Pickup {
  transcribed: boolean;
  /** Why it is not transcribed. Empty if it is. */
  reasons: string[];
  steps: { step: 'retrieve' | 'download' | 'seek' | 'check'; ok: boolean; seen: string }[];
}

export interface PickupOptions extends RetrieveOptions {
  /** Checks the downloaded audio. Default: all audio passes. */
  check?: ((audio: Uint8Array) => Promise<Report>) | undefined;
}

const maxRecordingBytes = 512 * 1024 * 1024;
const timeoutMs = 30_000;

/**
 * Requests the authenticated URL of a call, downloads the recording, seeks in it and checks it. Never throws.
 *
 * @param template the registered URL, with `%s`; undefined if the app has none
 */
export async function pickUp(
  template: string | undefined,
  call: SandboxCall,
  account: SandboxAccount,
  options: PickupOptions,
): Promise<Pickup> {
  const pickup: Pickup = { transcribed: false, reasons: obstacles(call, account), steps: [] };
  try {
    const url = await requestAuthenticatedUrl(template, call, options);
    pickup.steps.push({ step: 'retrieve', ok: true, seen: 'an authenticated URL' });
    const audio = await download(url, pickup);
    await seek(url, audio, pickup);
    if (options.check) addReport(await options.check(audio), pickup);
  } catch (error) {
    pickup.reasons.push(
      error instanceof PickupError ? error.message : 'The recording could not be read to its end.',
    );
  }
  pickup.transcribed = pickup.reasons.length === 0;
  return pickup;
}

/** What prevents a transcription whatever the audio is. */
function obstacles({ properties }: SandboxCall, account: SandboxAccount): string[] {
  const reasons: string[] = [];
  const { hs_call_source: source, hubspot_owner_id: owner } = properties;
  if (source !== 'INTEGRATIONS_PLATFORM') {
    reasons.push('hs_call_source is not INTEGRATIONS_PLATFORM, so HubSpot never requests the recording.');
  }
  if (owner !== undefined && account.ownersWithoutSeat?.includes(owner)) {
    reasons.push(`Owner ${owner} has no paid Sales or Service seat.`);
  }
  if (account.transcription === false) reasons.push('Transcription is switched off in this account.');
  return reasons;
}

async function download(url: string, pickup: Pickup): Promise<Uint8Array> {
  const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
  const type = response.headers.get('content-type') ?? 'no content type';
  const audio = await bytesOf(response);
  const { status } = response;
  pickup.steps.push({
    step: 'download',
    ok: status === 200,
    seen: `${status}, ${audio.length} bytes, ${type}`,
  });
  if (status !== 200) throw new PickupError(`The authenticated URL returned ${status}.`);
  if (!type.startsWith('application/octet-stream')) {
    pickup.reasons.push(`The recording is served as ${type}, not as an octet-stream.`);
  }
  return audio;
}

/** Requests a kilobyte from the middle. If that fails, the call is still transcribed. */
async function seek(url: string, audio: Uint8Array, pickup: Pickup): Promise<void> {
  const first = Math.floor(audio.length / 2);
  const last = Math.min(first + 1023, audio.length - 1);
  const range = `bytes=${first}-${last}`;
  const response = await fetch(url, { headers: { range }, signal: AbortSignal.timeout(timeoutMs) });
  const bytes = await bytesOf(response);
  const ok = response.status === 206 && Buffer.compare(bytes, audio.subarray(first, last + 1)) === 0;
  pickup.steps.push({ step: 'seek', ok, seen: `${response.status} to ${range}` });
}

/** HubSpot assumes the caller on channel 1, so an inconclusive verdict does not prevent a transcription. */
function addReport({ verdict, codes, repairs }: Report, pickup: Pickup): void {
  pickup.steps.push({ step: 'check', ok: verdict !== 'fail', seen: [verdict, ...codes].join(', ') });
  if (verdict === 'fail') pickup.reasons.push(...Object.values(repairs));
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > maxRecordingBytes) throw new PickupError('The recording is larger than the sandbox reads.');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
