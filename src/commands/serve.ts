import cluster from 'node:cluster';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { createApp } from '../app.ts';
import { blocksFolder } from '../origins/open.ts';
import { openParts } from '../parts.ts';
import { type Config, ConfigError } from '../settings/config.ts';
import { type Command, exit } from './command.ts';
import { alone, type Host, supervise, work } from './workers.ts';

/** What a crash leaves behind is known as such after 30 s (stored-audio.ts), and so gone a minute after the next start. */
const cleanEveryMs = 30_000;
/** How often, once it is to end, connections are looked for on which nothing goes on any more. */
const idleEveryMs = 100;
/** How long what is under way with other parts may take to end, once no listener is left. */
const closeMs = 5_000;

export const serve: Command = {
  async run({ config }) {
    // Blocks of recordings that were erased since would lie there for ever.
    if (cluster.isPrimary && config.cacheDisk === 0)
      await rm(blocksFolder(config.dataDir), { recursive: true, force: true });
    if (config.workers === 1) return run(config, alone);
    return cluster.isPrimary ? supervise(config.workers, config.drainTimeout + closeMs) : work(config, run);
  },
};

/** Runs the gateway until it is asked to end, and resolves when the last stream has ended or was cut off. */
async function run(config: Config, host: Host): Promise<number> {
  const parts = await openParts(config);
  const metricsPage = host.metricsPage(parts.metrics);
  const app = await createApp({ ...parts, metricsPage });
  const url = await app.listen({ host: config.host, port: config.port }).catch(async (error) => {
    await app.close(); // or the parts would keep the process
    if (error.code === 'EADDRINUSE') {
      throw new Error(
        `Port ${config.port} of ${config.host} is taken (EADDRINUSE): set PLAYHEAD_PORT to another.`,
      );
    }
    throw new ConfigError(
      `PLAYHEAD_HOST or PLAYHEAD_PORT names what cannot be listened on: ${error.message}.`,
    );
  });
  const clean = () =>
    parts.storedAudio.removeExpired().catch((error) => app.log.warn({ err: error }, 'cleaning failed'));
  const cleaning = setInterval(clean, cleanEveryMs);
  void clean();
  const keys = config.apiKeys.length > 0 ? 'PLAYHEAD_API_KEYS' : join(config.dataDir, 'api-key');
  parts.dispatcher.start();
  host.announce(`Playhead listens on ${url} and takes the API key in ${keys}.\n`);
  await stopped(app, host, config.drainTimeout);
  clearInterval(cleaning);
  return exit.done;
}

/**
 * Asked to end, no new connection is taken, and streams may end within `drainMs`; what goes on then
 * is cut off. Asked a second time, the process ends at once.
 */
function stopped(app: FastifyInstance, host: Host, drainMs: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let stopping = false;
  host.onStop(() => {
    if (stopping) process.exit(exit.failed);
    stopping = true;
    const limit = setTimeout(() => app.server.closeAllConnections(), drainMs);
    // Those whose stream has ended, too: a proxy would keep them for as long as the drain lasts.
    const closing = setInterval(() => app.server.closeIdleConnections(), idleEveryMs);
    // A store or a database that answers nothing must not keep the process.
    setTimeout(() => process.exit(exit.done), drainMs + closeMs).unref();
    app
      .close()
      .finally(() => {
        clearTimeout(limit);
        clearInterval(closing);
      })
      .then(() => resolve(), reject);
  });
  return promise;
}
