import type { IncomingMessage } from 'node:http';
import type { Test } from 'tap';
import type { Report } from '../../src/audio/report.ts';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { createSandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { serve } from '../servers/serve.ts';

export const audio = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
export const passing: Report = {
  verdict: 'pass',
  codes: [],
  audio: { size: 5000 },
  evidence: [],
  repairs: {},
};
export const mono: Report = {
  ...passing,
  verdict: 'fail',
  codes: ['mono'],
  repairs: { mono: 'Record two channels.' },
};

/** How a gateway responds to HubSpot. Default: as it should. */
export interface GatewayOptions {
  /** Of the endpoint for authenticated URLs. */
  status?: number;
  /** Body of the endpoint for authenticated URLs. */
  body?: object;
  /** Content type of the audio. */
  type?: string;
  ranges?: boolean;
}

/** A gateway with one recording, and the requests that it received. `template` is its registered URL. */
export async function startGateway(
  t: Test,
  { status = 200, body, type, ranges = true }: GatewayOptions = {},
) {
  const requests: IncomingMessage[] = [];
  const { url } = await serve(t, (request, response) => {
    requests.push(request);
    if (request.url!.startsWith('/recordings/')) {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body ?? { authenticatedUrl: `${url}/audio` }));
      return;
    }
    const range = ranges ? /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') : null;
    response.writeHead(range ? 206 : 200, { 'content-type': type ?? 'application/octet-stream' });
    response.end(range ? audio.subarray(Number(range[1]), Number(range[2]) + 1) : audio);
  });
  return { requests, template: `${url}/recordings/%s/url` };
}

/** A sandbox and a client of it. Without `check`, all audio passes. */
export async function setUp(t: Test, options: SandboxOptions = {}) {
  const sandbox = await createSandbox({ check: async () => passing, ...options });
  t.teardown(() => sandbox.close());
  const hubspot = new HubSpotClient({
    portal: '4711',
    apiBase: sandbox.url,
    apiVersion: '2026-03',
    appId: '101',
    accessToken: async () => 'sandbox-token',
  });
  return { sandbox, hubspot };
}

export const properties = {
  hs_timestamp: '1755866400000',
  hs_call_source: 'INTEGRATIONS_PLATFORM',
  hs_call_external_id: 'test call/01',
  hs_call_external_account_id: 'test-account-01',
  hs_call_app_id: '101',
};

/** Registers the URL, if there is one, logs a call, associates it and marks it ready. @returns the call's id */
export async function publish(
  hubspot: HubSpotClient,
  template: string | undefined,
  more: Record<string, string> = {},
): Promise<string> {
  if (template) await hubspot.registerRecordingUrl(template);
  const id = await hubspot.createCall({ ...properties, ...more });
  await hubspot.associate(id, { objectType: 'contacts', objectId: '104901' });
  await hubspot.markReady(id);
  return id;
}
