import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { ended } from '../processes.ts';
import { freePorts } from '../servers/free-port.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { type RedisServer, startRedis } from '../servers/redis.ts';
import { startBalancer } from './balancer.ts';
import { type Gateway, gatewayOf } from './gateway.ts';
import { folderStore, type Store, s3Store } from './store.ts';

export const apiKey = randomBytes(24).toString('hex');
const appId = '101';

/** A whole deployment on loopback. */
export interface Site {
  /** URL of nginx. */
  url: string;
  gateways: [Gateway, Gateway];
  postgres: PostgresServer;
  redis: RedisServer;
  hubspot: Sandbox;
  store: Store;
  stop(): Promise<void>;
}

/** @param s3 endpoint of an S3 server; undefined for a shared folder */
export async function startSite(s3: string | undefined): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-soak-'));
  const closing: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  async function stop(): Promise<void> {
    for (const close of closing.splice(0).reverse()) {
      // If one cannot be stopped, the others still are.
      await Promise.resolve(close()).catch((error) => console.error(error));
    }
  }
  try {
    return { ...(await startParts(s3, folder, closing)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @param closing gets the functions that stop what was started */
async function startParts(
  s3: string | undefined,
  folder: string,
  closing: (() => unknown)[],
): Promise<Omit<Site, 'stop'>> {
  const [postgresPort, nginxPort, ...ports] = await freePorts(4);
  const url = `http://127.0.0.1:${nginxPort}`;
  const postgres = await startPostgres(postgresPort!);
  closing.push(postgres.remove);
  const redis = await startRedis();
  closing.push(redis.stop);
  const hubspot = await createSandbox({ limits: { requests: 100_000, searches: 1_000 }, searchLagMs: 500 });
  closing.push(hubspot.close);
  hubspot.world.recordingUrls.set(appId, `${url}/retrieve/authenticated/recordings/%s`);
  const store = s3 ? await s3Store(s3, closing) : folderStore(folder);

  const env = {
    PATH: process.env.PATH,
    AWS_ACCESS_KEY_ID: process.env.AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY: process.env.AWS_SECRET_ACCESS_KEY,
    ...store.settings,
    PLAYHEAD_PUBLIC_URL: url,
    PLAYHEAD_DATABASE_URL: postgres.url,
    PLAYHEAD_REDIS_URL: redis.url,
    PLAYHEAD_API_KEYS: apiKey,
    PLAYHEAD_SECRET_KEY: randomBytes(32).toString('base64url'),
    PLAYHEAD_RETRIEVE_AUTH: 'open',
    PLAYHEAD_RATE_LIMIT: '1000000',
    PLAYHEAD_TRUST_PROXY: '127.0.0.1',
    PLAYHEAD_WORKERS: '2',
    PLAYHEAD_CACHE_MEMORY: '64MB',
    PLAYHEAD_LOG_LEVEL: 'warn',
    PLAYHEAD_HUBSPOT_APP_ID: appId,
    PLAYHEAD_HUBSPOT_API_BASE: hubspot.url,
    PLAYHEAD_HUBSPOT_ACCESS_TOKEN: 'sandbox-token',
  };
  const gateways = ports.map((port, index) => {
    const name = `gateway-${index + 1}`;
    const own = { PLAYHEAD_PORT: String(port), PLAYHEAD_DATA_DIR: join(folder, name) };
    return gatewayOf(name, folder, { ...env, ...own });
  }) as [Gateway, Gateway];
  for (const gateway of gateways) {
    closing.push(() => gateway.kill('SIGTERM'));
    await gateway.start();
  }
  const nginx = await startBalancer(folder, nginxPort!, ports);
  closing.push(async () => {
    nginx.kill('SIGTERM');
    await ended(nginx);
  });
  return { url, gateways, postgres, redis, hubspot, store };
}
