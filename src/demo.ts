/**
 * `npm run demo`: the main job, whole, on the recordings in fixtures/, with a local HubSpot. Prints each
 * step with its result as it happens and stays up for listening; with `--exit` it ends after the steps,
 * with exit code 1 if one of them failed.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from './app.ts';
import { openParts, type Parts } from './parts.ts';
import { checkDownload } from './sandbox/check-download.ts';
import { createSandbox, type Sandbox } from './sandbox/sandbox.ts';
import { readConfig } from './settings/config.ts';
import { retrieveUrl, retrieveUrlTemplate, streamUrl } from './urls.ts';

const portalId = 4711;
const appId = '101';
const accessToken = 'sandbox-token';
const accountId = 'acct-1';
const contactId = '104901';
const calls = [
  { file: 'inbound-caller1.wav', id: 'call-1', direction: 'inbound', title: 'Anna asks about an order' },
  { file: 'inbound-caller1.flac', id: 'call-2', direction: 'inbound', title: 'The same call, kept as FLAC' },
  {
    file: 'inbound-caller1-moov-last.mp4',
    id: 'call-3',
    direction: 'inbound',
    title: 'And as MP4, its index last',
  },
];
const swapped = {
  file: 'inbound-caller2.wav',
  id: 'call-4',
  direction: 'inbound',
  title: 'Channels swapped',
};

interface Gateway {
  url: string;
  apiKey: string;
  parts: Parts;
}

async function tour(gateway: Gateway, hubspot: Sandbox): Promise<void> {
  say('Register');
  await step('tell HubSpot where to ask for recordings', () => register(gateway));

  say('Put recordings in: stored, checked, logged, associated, marked ready');
  for (const call of calls) await step(call.file, () => ingest(gateway, call));
  await step(`${swapped.file} (channels swapped)`, () => beRefused(gateway));
  for (const { id } of calls) await step(`publish ${id}`, () => beReady(gateway, id));

  say('HubSpot asks for each authenticated URL, downloads, seeks and listens');
  await hubspot.pickups.idle();
  for (const { id } of calls) await step(`pick up ${id}`, () => bePickedUp(hubspot, id));

  say('A person listens and seeks');
  const url = await step('ask for the authenticated URL', () => retrieve(gateway, calls[0]!.id));
  const audio = await readFile(fixture(calls[0]!.file));
  await step('the whole, as an octet-stream', () => fetchWhole(url, audio));
  const { length } = audio;
  for (const [title, range, first, last] of [
    ['seek to the middle', `bytes=${length / 2}-${length / 2 + 1023}`, length / 2, length / 2 + 1023],
    ['play from 80 % on', `bytes=${0.8 * length}-`, 0.8 * length, length - 1],
    ['the last 500 bytes', 'bytes=-500', length - 500, length - 1],
    ['the very first byte', 'bytes=0-0', 0, 0],
    ['can it seek at all? the whole as a range', 'bytes=0-', 0, length - 1],
  ] as const) {
    await step(title, () => seek(url, range, audio.subarray(first, last + 1)));
  }
  await step('beyond the end', () => seekBeyond(url, length));
}

async function register({ parts }: Gateway): Promise<string> {
  const client = await parts.hubspot.accounts.clientFor(accountId);
  await client.registerRecordingUrl(retrieveUrlTemplate(parts.config, parts.apiKeys.accessKey));
  return '…/retrieve/authenticated/recordings/%s';
}

async function offer({ url, apiKey }: Gateway, call: typeof swapped, channels?: string[]): Promise<Response> {
  const form = new FormData();
  const { id: externalId, direction, title } = call;
  const associations = [{ objectType: 'contacts', objectId: contactId, associationTypeId: 194 }];
  const engagement = { title, from: '+15550100', to: '+15550123', associations };
  form.append('recording', JSON.stringify({ accountId, externalId, direction, channels, call: engagement }));
  form.append('audio', new Blob([await readFile(fixture(call.file))]), call.file);
  const headers = { authorization: `Bearer ${apiKey}` };
  return fetch(`${url}/v1/recordings`, { method: 'POST', headers, body: form });
}

async function ingest(gateway: Gateway, call: typeof swapped): Promise<string> {
  // Declared, so that MP4 passes also on a machine that lacks what decodes it.
  const answer = await offer(gateway, call, ['caller', 'recipient']);
  const { verdict, codes, audio, detail } = (await answer.json()) as {
    [member: string]: Record<string, unknown>;
  };
  expect(answer.status === 201, `${answer.status}: ${detail}`);
  const { container, codec, durationSeconds } = audio!;
  return `${answer.status} ${verdict} (${codes}), ${container} ${codec}, ${Number(durationSeconds).toFixed(1)} s`;
}

async function beRefused(gateway: Gateway): Promise<string> {
  const answer = await offer(gateway, swapped);
  const { report } = (await answer.json()) as { report?: { codes: string[] } };
  expect(answer.status === 422, `${answer.status}, where 422 was expected`);
  return `422 refused (${report?.codes})`;
}

async function beReady({ parts }: Gateway, id: string): Promise<string> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const publication = await parts.publisher.status((await parts.catalog.get(accountId, id))!);
    if (publication?.state === 'dead') throw new Error(publication.reason ?? 'a dead letter');
    if (publication?.state === 'done') {
      return `call ${publication.callId}: ${publication.steps.map(({ name }) => name).join(' → ')}`;
    }
    await sleep(50);
  }
  throw new Error('not ready after ten seconds');
}

async function bePickedUp({ world }: Sandbox, id: string): Promise<string> {
  const call = [...world.calls.values()].find(({ properties }) => properties.hs_call_external_id === id);
  const pickup = call?.pickup;
  expect(pickup?.transcribed === true, pickup?.reasons.join(' ') ?? 'never picked up');
  return `transcribed: ${pickup!.steps.map(({ step, seen }) => `${step} ${seen}`).join('; ')}`;
}

async function retrieve({ parts }: Gateway, id: string): Promise<{ seen: string; result: string }> {
  const registered = retrieveUrlTemplate(parts.config, parts.apiKeys.accessKey);
  const answer = await fetch(
    retrieveUrl(registered, { externalId: id, externalAccountId: accountId, appId }),
  );
  const { authenticatedUrl } = (await answer.json()) as { authenticatedUrl: string };
  return {
    seen: `${answer.status} {"authenticatedUrl": "${authenticatedUrl.slice(0, 50)}…"}`,
    result: authenticatedUrl,
  };
}

async function fetchWhole(url: string, expected: Buffer): Promise<string> {
  const answer = await fetch(url);
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(answer.status === 200 && bytes.equals(expected), `${answer.status}, ${bytes.length} bytes`);
  return `200, ${bytes.length} bytes, ${answer.headers.get('content-type')}`;
}

async function seek(url: string, range: string, expected: Buffer): Promise<string> {
  const answer = await fetch(url, { headers: { range } });
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(answer.status === 206 && bytes.equals(expected), `${answer.status}, ${bytes.length} bytes`);
  return `206, ${bytes.length} bytes, ${answer.headers.get('content-range')}`;
}

async function seekBeyond(url: string, length: number): Promise<string> {
  const answer = await fetch(url, { headers: { range: `bytes=${length}-` } });
  expect(answer.status === 416, `${answer.status}, where 416 was expected`);
  return `416, ${answer.headers.get('content-range')}`;
}

/** Does one step, and prints how long it took and what was seen. */
async function step<T extends string | { seen: string; result: string }>(
  title: string,
  work: () => Promise<T>,
) {
  const begun = performance.now();
  try {
    const done = await work();
    const { seen, result } = typeof done === 'string' ? { seen: done, result: done } : done;
    say(`  ✓ ${title.padEnd(42)} ${String(Math.round(performance.now() - begun)).padStart(5)} ms  ${seen}`);
    return result;
  } catch (error) {
    say(`  ✗ ${title.padEnd(42)} ${(error as Error).message}`);
    throw error;
  }
}

function expect(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}

function say(line: string): void {
  process.stdout.write(`${line.startsWith(' ') ? '' : '\n'}${line}\n`);
}

function fixture(file: string): URL {
  return new URL(`../fixtures/${file}`, import.meta.url);
}

/** 8080, as `npm start` has it, where it is free; else any. */
async function freePort(): Promise<number> {
  for (const wanted of [8080, 0]) {
    const server = createServer();
    const { promise, resolve } = Promise.withResolvers<number | undefined>();
    server.once('error', () => resolve(undefined));
    server.listen(wanted, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    const port = await promise;
    await new Promise((closed) => server.close(closed));
    if (port !== undefined) return port;
  }
  throw new Error('There is no free port on 127.0.0.1.');
}

async function main(stay: boolean): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'playhead-demo-'));
  const port = String(await freePort());
  const settings = { 'data-dir': dataDir, port, 'log-level': 'warn', 'hubspot-app-id': appId };
  const account = { portalId, appId, accessToken };
  let hubspot: Sandbox | undefined;
  const check = (audio: Uint8Array) => checkDownload(parts.checkPool, audio);
  hubspot = await createSandbox({ accounts: [account], check });
  const api = { 'hubspot-api-base': hubspot.url, 'hubspot-access-token': accessToken };
  const config = readConfig({ ...settings, ...api }, {});
  const parts = await openParts(config);
  const app = await createApp(parts);
  try {
    parts.dispatcher.start();
    const url = await app.listen({ host: config.host, port: config.port });
    const apiKey = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
    await tour({ url, apiKey, parts }, hubspot);

    const { token } = await parts.tokens.sign((await parts.catalog.get(accountId, calls[0]!.id))!);
    say('Look at it yourself');
    say(`  Console   ${url}/console  with the API key ${apiKey}`);
    say(`  Timeline  ${hubspot.timelineUrl(portalId, 'contacts', contactId)}`);
    say(`  Seek      curl -r 1000-1999 -o part.bin -D - ${streamUrl(url, token)}`);
    if (!stay) return;
    say('Ctrl-C ends the demo.');
    await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
  } finally {
    app.server.closeAllConnections();
    await app.close();
    await hubspot.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

await main(!process.argv.includes('--exit')).catch((error: Error) => {
  process.stderr.write(`\nThe demo failed: ${error.message}\n`);
  // Also where what was started before it failed is still open.
  process.exit(1);
});
