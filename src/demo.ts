/**
 * `npm run demo`: the gateway and a local HubSpot, with the recordings in fixtures/. Prints each step with its
 * result, then stays up for listening. With `--exit` it ends after the steps. Exit code 1 if a step failed.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountId, calls, contactId, fixture, portal, swapped } from './demo/calls.ts';
import { type Gateway, startGateway } from './demo/gateway.ts';
import {
  bePublished,
  beRejected,
  beTranscribed,
  download,
  ingest,
  register,
  requestUrl,
  seek,
  seekBeyondEnd,
  shorten,
} from './demo/steps.ts';
import { checkDownload } from './sandbox/check-download.ts';
import { createSandbox, type Sandbox } from './sandbox/sandbox.ts';
import { streamUrl } from './urls.ts';

async function main(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'playhead-demo-'));
  const check = (audio: Uint8Array) => checkDownload(gateway.parts.checkPool, audio);
  const hubspot = await createSandbox({ accounts: [portal], check });
  const gateway = await startGateway(dataDir, hubspot.url);
  try {
    await tour(gateway, hubspot);
    await printLinks(gateway, hubspot);
    if (!process.argv.includes('--exit')) await interrupted();
  } finally {
    await gateway.close();
    await hubspot.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

async function tour(gateway: Gateway, hubspot: Sandbox): Promise<void> {
  heading('The gateway registers with HubSpot');
  await step('register the URL for recordings', () => register(gateway));

  heading('The phone system sends recordings, which are checked, stored and published');
  for (const call of calls) await step(`ingest ${call.file}`, () => ingest(gateway, call));
  await step(`reject ${swapped.file}, channels swapped`, () => beRejected(gateway, swapped));
  for (const { id } of calls) await step(`publish ${id}`, () => bePublished(gateway, id));

  heading('HubSpot requests each authenticated URL, downloads, seeks and transcribes');
  await hubspot.pickups.idle();
  for (const { id } of calls) await step(`transcribe ${id}`, () => beTranscribed(hubspot, id));

  heading('A person listens and seeks');
  const call = calls[0]!;
  const audio = await readFile(fixture(call));
  const { length } = audio;
  const url = await step('request the authenticated URL', () => requestUrl(gateway, call.id), shorten);
  await step('download the whole as an octet-stream', () => download(url, audio));
  for (const [title, range, first, last] of [
    ['seek to the middle', `bytes=${length / 2}-${length / 2 + 1023}`, length / 2, length / 2 + 1023],
    ['play from 80 %', `bytes=${0.8 * length}-`, 0.8 * length, length - 1],
    ['read the last 500 bytes', 'bytes=-500', length - 500, length - 1],
    ['read the first byte', 'bytes=0-0', 0, 0],
    ['probe for seeking: the whole as a range', 'bytes=0-', 0, length - 1],
  ] as const) {
    await step(title, () => seek(url, range, audio.subarray(first, last + 1)));
  }
  await step('seek beyond the end', () => seekBeyondEnd(url, length));
}

async function printLinks({ url, apiKey, parts }: Gateway, hubspot: Sandbox): Promise<void> {
  const recording = (await parts.catalog.get(accountId, calls[0]!.id))!;
  const { token } = await parts.tokens.sign(recording);
  heading('Look at it yourself');
  print(`  Console   ${url}/console  with the API key ${apiKey}`);
  print(`  Timeline  ${hubspot.timelineUrl(portal.portalId, 'contacts', contactId)}`);
  print(`  Seek      curl -r 1000-1999 -o part.bin -D - ${streamUrl(url, token)}`);
}

async function interrupted(): Promise<void> {
  heading('Ctrl-C stops the demo.');
  await new Promise((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve));
}

/** Does one step and prints how long it took and its result. */
async function step(
  title: string,
  work: () => Promise<string>,
  describe: (result: string) => string = (result) => result,
): Promise<string> {
  const startedAt = performance.now();
  try {
    const result = await work();
    const ms = String(Math.round(performance.now() - startedAt)).padStart(5);
    print(`  ✓ ${title.padEnd(44)} ${ms} ms  ${describe(result)}`);
    return result;
  } catch (error) {
    print(`  ✗ ${title.padEnd(44)} ${(error as Error).message}`);
    throw error;
  }
}

function heading(title: string): void {
  print(`\n${title}`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

await main().catch((error: Error) => {
  process.stderr.write(`\nThe demo failed: ${error.message}\n`);
  // Exits also if something that was started is still open.
  process.exit(1);
});
