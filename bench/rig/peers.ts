import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { freePort } from '../../test/servers/free-port.ts';
import type { Library } from './library.ts';
import { type Running, startPinned, untilResponding } from './machine.ts';
import { startNginx } from './nginx.ts';

/** A way to serve the library. To add one, add it to `peers`. */
export interface Peer {
  name: string;
  start(library: Library): Promise<Serving>;
}

export interface Serving extends Running {
  /** Scheme, host and port. */
  url: string;
  /** The path of each recording, in the order of the library's names. */
  paths: string[];
}

const playhead: Peer = { name: 'Playhead', start: (library) => startPlayhead(library, fromFolder(library)) };

const playheadLogging: Peer = {
  name: 'Playhead, each request logged',
  start: (library) => startPlayhead(library, fromFolder(library), { 'log-level': 'info' }),
};

const nginxStatic: Peer = {
  name: 'nginx static',
  async start(library) {
    const port = await freePort();
    const server = `server { listen 127.0.0.1:${port}; root ${library.recordings}; }`;
    const running = startNginx(join(library.folder, 'nginx'), server);
    return served(running, port, library.names);
  },
};

const fastifyStatic: Peer = {
  name: '@fastify/static',
  async start(library) {
    const port = await freePort();
    const script = new URL('./fastify-static.ts', import.meta.url).pathname;
    return served(
      startPinned([process.execPath, script, library.recordings, String(port)]),
      port,
      library.names,
    );
  },
};

export const peers = { playhead, playheadLogging, nginxStatic, fastifyStatic };

export async function served(running: Running, port: number, names: string[]): Promise<Serving> {
  const url = `http://127.0.0.1:${port}`;
  const paths = names.map((name) => `/${name}`);
  await untilResponding(`${url}${paths[0]}`);
  return { ...running, url, paths };
}

/** Where the gateway reads the library's recordings. */
export interface Sources {
  settings: Record<string, string>;
  env?: NodeJS.ProcessEnv;
  mode: 'copy' | 'proxy';
  urlOf(name: string): string;
}

function fromFolder({ recordings }: Library): Sources {
  const urlOf = (name: string) => pathToFileURL(join(recordings, name)).href;
  return { settings: { 'source-roots': recordings }, mode: 'copy', urlOf };
}

/** Starts the gateway as the image does, with a rate limit that a load generator does not reach. */
export async function startPlayhead(
  library: Library,
  sources: Sources,
  more: Record<string, string> = {},
): Promise<Serving> {
  const port = await freePort();
  const dataDir = join(library.folder, 'playhead');
  const cli = new URL('../../dist/cli.js', import.meta.url).pathname;
  const settings = {
    port,
    'data-dir': dataDir,
    'rate-limit': 10_000_000,
    'log-level': 'warn',
    ...sources.settings,
    ...more,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const env = { ...process.env, ...sources.env };
  const running = startPinned([process.execPath, '--max-semi-space-size=4', cli, 'serve', ...flags], { env });
  const url = `http://127.0.0.1:${port}`;
  await untilResponding(`${url}/healthz`);

  const apiKey = readFileSync(join(dataDir, 'api-key'), 'utf8').trim();
  const post = (path: string, body: object) =>
    fetch(`${url}/v1/recordings${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const paths: string[] = [];
  for (const name of library.names) {
    const channels = ['caller', 'recipient'];
    const recording = { accountId: 'bench', externalId: name, direction: 'inbound', channels };
    let response = await post(`/bench/${name}/url`, {});
    if (response.status === 404) {
      const ingested = await post('', { ...recording, source: sources.urlOf(name), mode: sources.mode });
      if (!ingested.ok) throw new Error(`Playhead rejected ${name}: ${await ingested.text()}`);
      response = await post(`/bench/${name}/url`, {});
    }
    const { authenticatedUrl } = (await response.json()) as { authenticatedUrl: string };
    paths.push(new URL(authenticatedUrl).pathname);
  }
  return { ...running, url, paths };
}
