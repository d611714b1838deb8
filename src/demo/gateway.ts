import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createApp } from '../app.ts';
import { openParts, type Parts } from '../parts.ts';
import { readConfig } from '../settings/config.ts';
import { portal } from './calls.ts';

export interface Gateway {
  url: string;
  apiKey: string;
  parts: Parts;
  close(): Promise<void>;
}

/**
 * Starts a gateway with the default settings.
 *
 * @param apiBase URL of the local HubSpot
 */
export async function startGateway(dataDir: string, apiBase: string): Promise<Gateway> {
  const flags = {
    'data-dir': dataDir,
    port: String(await freePort()),
    'log-level': 'warn',
    'hubspot-app-id': portal.appId,
    'hubspot-access-token': portal.accessToken,
    'hubspot-api-base': apiBase,
  };
  const config = readConfig(flags, {});
  const parts = await openParts(config);
  const app = await createApp(parts);
  parts.dispatcher.start();
  const url = await app.listen({ host: config.host, port: config.port });
  const apiKey = (await readFile(join(dataDir, 'api-key'), 'utf8')).trim();
  async function close(): Promise<void> {
    app.server.closeAllConnections();
    await app.close();
  }
  return { url, apiKey, parts, close };
}

/** 8080, the default of `npm start`, if it is free. */
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
