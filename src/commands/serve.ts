import cluster from 'node:cluster';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { createApp } from '../app.ts';
import { removeBlocks } from '../origins/cache/disk.ts';
import { blocksFolder } from '../origins/open.ts';
import { openParts } from '../parts.ts';
import { type Config, ConfigError } from '../settings/config.ts';
import { type Command, exitCode } from './command.ts';
import { type Host, runPrimary, runWorker, singleProcess } from './workers.ts';

/** While the gateway drains, it closes idle connections at this interval. */
const idleIntervalMs = 100;
/** After the drain, the parts have this long to close. */
const closeTimeoutMs = 5_000;

export const serve: Command = {
  async run({ config }) {
    // Without a disk cache, nothing else would remove the blocks of recordings that were erased since.
    if (cluster.isPrimary && config.cacheDisk === 0) await removeBlocks(blocksFolder(config.dataDir));
    if (config.workers === 1) return serveUntilStopped(config, singleProcess);
    if (cluster.isPrimary) return runPrimary(config.workers, config.drainTimeout + closeTimeoutMs);
    return runWorker(config, serveUntilStopped);
  },
};

/** @returns the exit code, once the gateway was stopped and the last stream has ended or was cut off */
async function serveUntilStopped(config: Config, host: Host): Promise<number> {
  const parts = await openParts(config);
  const metricsPage = host.metricsPage(parts.metrics);
  const app = await createApp({ ...parts, metricsPage });
  const url = await listen(app, config);
  parts.dispatcher.start();
  parts.background.start();
  const keys = config.apiKeys.length > 0 ? 'PLAYHEAD_API_KEYS' : join(config.dataDir, 'api-key');
  host.announce(`Playhead listens on ${url} and accepts the API key in ${keys}.\n`);
  await stopped(app, host, config.drainTimeout);
  return exitCode.done;
}

/**
 * The URL on which the app listens.
 *
 * @throws Error if the port is in use, ConfigError if the settings are wrong
 */
async function listen(app: FastifyInstance, { host, port }: Config): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    await app.close(); // otherwise the parts keep the process alive
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') {
      throw new Error(`Port ${port} on ${host} is in use (EADDRINUSE): set PLAYHEAD_PORT to another port.`);
    }
    throw new ConfigError(`The gateway cannot listen on PLAYHEAD_HOST and PLAYHEAD_PORT: ${message}.`);
  }
}

/**
 * Resolves when the gateway has stopped. At the first signal it accepts no new connection, and streams have
 * `drainMs` to end before they are cut off. At the second signal the process exits at once.
 */
function stopped(app: FastifyInstance, host: Host, drainMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let stopping = false;
  host.onStop(() => {
    if (stopping) process.exit(exitCode.failed);
    stopping = true;
    const limit = setTimeout(() => app.server.closeAllConnections(), drainMs);
    // A proxy would keep connections whose stream has ended open for the whole drain.
    const closing = setInterval(() => app.server.closeIdleConnections(), idleIntervalMs);
    // A store or a database that does not respond must not keep the process alive.
    setTimeout(() => process.exit(exitCode.done), drainMs + closeTimeoutMs).unref();
    app
      .close()
      .finally(() => {
        clearTimeout(limit);
        clearInterval(closing);
      })
      .then(resolve, reject);
  });
  return promise;
}
