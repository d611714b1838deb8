import { spawn } from 'node:child_process';
import { openAsBlob } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Test } from 'tap';
import { createApp } from '../src/app.ts';
import { openParts } from '../src/parts.ts';
import { readConfig } from '../src/settings/config.ts';
import { freshPostgres } from './contracts/db.ts';

export const fixtures = new URL('../fixtures/', import.meta.url).pathname;

/** With `PLAYHEAD_TEST_ENGINE=postgres` each gateway has a database on this server. Without it, each uses SQLite. */
const postgres = process.env.PLAYHEAD_TEST_ENGINE === 'postgres' && process.env.PLAYHEAD_TEST_POSTGRES_URL;
/** Database URLs by data folder, so that a gateway that restarts on its folder finds its database. */
const databases = new Map<string, string>();

/** The settings that every gateway of the tests needs: a data folder of its own, a free port, a database. */
async function ownSettings(t: Test, settings: Record<string, string>) {
  const dataDir = settings['data-dir'] ?? (await mkdtemp(join(tmpdir(), 'playhead-test-')));
  if (postgres && !settings['data-dir']) databases.set(dataDir, await freshPostgres(t, postgres));
  const database = databases.get(dataDir);
  const own = { 'data-dir': dataDir, port: '0', ...(database && { 'database-url': database }) };
  return { dataDir, own };
}

/** A whole gateway in this process, on a free port, with a data folder of its own. Closed when the test ends. */
export async function startGateway(t: Test, settings: Record<string, string> = {}) {
  const { dataDir, own } = await ownSettings(t, settings);
  const flags = { ...own, 'log-level': 'silent', 'rate-limit': '1000000', ...settings };
  const config = readConfig(flags, {});
  const parts = await openParts(config);
  const app = await createApp(parts);
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(async () => {
    app.server.closeAllConnections();
    await app.close();
    await rm(dataDir, { recursive: true, force: true });
  });
  return { app, parts, config, dataDir, ...(await client(url, dataDir)) };
}

const { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env; // of the S3 server that some tests use

/** `playhead serve` as a process of its own, on a free port. Killed when the test ends, if it still runs. */
export async function spawnGateway(t: Test, settings: Record<string, string> = {}) {
  const { dataDir, own } = await ownSettings(t, settings);
  const flags = Object.entries({ ...own, ...settings });
  const args = ['src/cli.ts', 'serve', ...flags.flatMap(([name, value]) => [`--${name}`, value])];
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await rm(dataDir, { recursive: true, force: true });
  });

  let log = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once('exit', (code) => reject(new Error(`playhead serve ended with ${code}: ${log}`)));
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      const url = /listens on (http:\S+) /.exec(log)?.[1];
      if (url) resolve(url);
    });
  }
  return { child, dataDir, log: () => log, ...(await client(await promise, dataDir)) };
}

/** What a phone system's backend does with a gateway. */
async function client(url: string, dataDir: string) {
  const apiKey = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
  const authorization = `Bearer ${apiKey}`;

  /** Any route of `/v1`, with the key. */
  function v1(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${url}/v1${path}`, { ...init, headers: { authorization, ...init.headers } });
  }

  /** Sends a file of fixtures/, or bytes. Declares the channels, unless `offer` overrides them. */
  async function ingest(
    audio: string | Buffer<ArrayBuffer>,
    offer: Record<string, unknown> = {},
  ): Promise<Response> {
    const isFile = typeof audio === 'string';
    const form = new FormData();
    const recording = {
      accountId: 'acct',
      externalId: isFile ? audio : 'bytes',
      direction: 'inbound',
      channels: ['caller', 'recipient'],
      ...offer,
    };
    form.append('recording', JSON.stringify(recording));
    form.append(
      'audio',
      isFile ? await openAsBlob(join(fixtures, audio)) : new Blob([audio]),
      isFile ? basename(audio) : 'call.wav',
    );
    return v1('/recordings', { method: 'POST', body: form });
  }

  /** Ingests audio and returns its stream URL. */
  async function streamOf(
    audio: string | Buffer<ArrayBuffer>,
    offer: Record<string, unknown> = {},
  ): Promise<string> {
    const created = await ingest(audio, offer);
    if (!created.ok) throw new Error(`${created.status} ${await created.text()}`);
    const { accountId, externalId } = (await created.json()) as Record<string, string>;
    const path = `/recordings/${encodeURIComponent(accountId!)}/${encodeURIComponent(externalId!)}/url`;
    const shared = await v1(path, { method: 'POST' });
    return ((await shared.json()) as { authenticatedUrl: string }).authenticatedUrl;
  }

  return { url, apiKey, v1, ingest, streamOf };
}

const headerBytes = 44;

/** A WAV that is larger than every buffer on the way. It repeats the samples of a fixture. */
export async function longRecording(megabytes: number): Promise<Buffer<ArrayBuffer>> {
  const source = await readFile(join(fixtures, 'inbound-caller1.wav'));
  const samples = source.subarray(headerBytes);
  const copies = Math.ceil((megabytes * 1024 * 1024) / samples.length);
  return sized(Buffer.concat([source.subarray(0, headerBytes), ...Array<Buffer>(copies).fill(samples)]));
}

/** The start of a long recording, of about `bytes` bytes. It ends with the mark, so each mark has its own audio. */
export function markedRecording(long: Buffer, bytes: number, mark: string): Buffer<ArrayBuffer> {
  const recording = sized(Buffer.from(long.subarray(0, bytes - (bytes % 4))));
  recording.write(mark.padEnd(16), recording.length - 16);
  return recording;
}

/** Writes the sizes into the header of a WAV file. */
function sized(wav: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  wav.writeUInt32LE(wav.length - 8, 4); // size of the RIFF chunk
  wav.writeUInt32LE(wav.length - headerBytes, 40); // size of the data chunk
  return wav;
}
