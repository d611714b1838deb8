import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sandbox } from '../sandbox/sandbox.ts';
import { retrieveUrl, retrieveUrlTemplate } from '../urls.ts';
import { accountId, type Call, contactId, fixture, portal } from './calls.ts';
import type { Gateway } from './gateway.ts';

// Each step returns the result to print, and throws an Error if it is not the expected one.

export async function register({ parts }: Gateway): Promise<string> {
  const client = await parts.hubspot.accounts.clientFor(accountId);
  const url = await client.registerRecordingUrl(retrieveUrlTemplate(parts.config, parts.apiKeys.accessKey));
  return url.replace(/^.*\/k\/[^/]+/, '…');
}

export async function ingest(gateway: Gateway, call: Call): Promise<string> {
  // The channels are declared, so that MP4 passes on a machine that cannot decode it.
  const response = await upload(gateway, call, ['caller', 'recipient']);
  const { verdict, codes, audio, detail } = (await response.json()) as {
    [member: string]: Record<string, unknown>;
  };
  expect(response.status === 201, `${response.status}: ${detail}`);
  const { container, codec, durationSeconds } = audio!;
  return `201 ${verdict} (${codes}), ${container} ${codec}, ${Number(durationSeconds).toFixed(1)} s`;
}

export async function beRejected(gateway: Gateway, call: Call): Promise<string> {
  const response = await upload(gateway, call);
  const { report } = (await response.json()) as { report?: { codes: string[] } };
  expect(response.status === 422, `${response.status}, expected 422`);
  return `422 rejected (${report?.codes})`;
}

async function upload({ url, apiKey }: Gateway, call: Call, channels?: string[]): Promise<Response> {
  const associations = [{ objectType: 'contacts', objectId: contactId, associationTypeId: 194 }];
  const recording = {
    accountId,
    externalId: call.id,
    direction: 'inbound',
    channels,
    call: { title: call.title, from: '+15550100', to: '+15550123', associations },
  };
  const form = new FormData();
  form.append('recording', JSON.stringify(recording));
  form.append('audio', new Blob([await readFile(fixture(call))]), call.file);
  const headers = { authorization: `Bearer ${apiKey}` };
  return fetch(`${url}/v1/recordings`, { method: 'POST', headers, body: form, redirect: 'error' });
}

export async function bePublished({ parts }: Gateway, id: string): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const publication = await parts.publisher.status((await parts.catalog.get(accountId, id))!);
    if (publication?.state === 'dead') throw new Error(publication.reason ?? 'a dead letter');
    if (publication?.state === 'done') {
      return `call ${publication.callId}: ${publication.steps.map(({ name }) => name).join(' → ')}`;
    }
    await sleep(50);
  }
  throw new Error('not published within 10 s');
}

export async function beTranscribed({ world }: Sandbox, id: string): Promise<string> {
  const call = [...world.calls.values()].find(({ properties }) => properties.hs_call_external_id === id);
  const pickup = call?.pickup;
  expect(pickup?.transcribed === true, pickup?.reasons.join(' ') ?? 'HubSpot did not request it');
  return pickup!.steps.map(({ step, seen }) => `${step} ${seen}`).join('; ');
}

export async function requestUrl({ parts }: Gateway, id: string): Promise<string> {
  const registered = retrieveUrlTemplate(parts.config, parts.apiKeys.accessKey);
  const query = { externalId: id, externalAccountId: accountId, appId: portal.appId };
  const response = await fetch(retrieveUrl(registered, query));
  expect(response.status === 200, `${response.status}, expected 200`);
  const { authenticatedUrl } = (await response.json()) as { authenticatedUrl: string };
  return authenticatedUrl;
}

export function shorten(authenticatedUrl: string): string {
  return `200 {"authenticatedUrl": "${authenticatedUrl.slice(0, 50)}…"}`;
}

export async function download(url: string, expected: Buffer): Promise<string> {
  const response = await fetch(url);
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(response.status === 200 && bytes.equals(expected), `${response.status}, ${bytes.length} bytes`);
  return `200, ${bytes.length} bytes, ${response.headers.get('content-type')}`;
}

export async function seek(url: string, range: string, expected: Buffer): Promise<string> {
  const response = await fetch(url, { headers: { range } });
  const bytes = Buffer.from(await response.arrayBuffer());
  expect(response.status === 206 && bytes.equals(expected), `${response.status}, ${bytes.length} bytes`);
  return `206, ${bytes.length} bytes, ${response.headers.get('content-range')}`;
}

export async function seekBeyondEnd(url: string, length: number): Promise<string> {
  const response = await fetch(url, { headers: { range: `bytes=${length}-` } });
  expect(response.status === 416, `${response.status}, expected 416`);
  return `416, ${response.headers.get('content-range')}`;
}

function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}
