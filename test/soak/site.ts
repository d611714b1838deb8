import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { openSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { createSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts';
import { ended } from '../ended.ts';
import { faultProxy } from '../servers/fault-proxy.ts';
import { freePorts } from '../servers/free-port.ts';
import { type PostgresServer, startPostgres } from '../servers/postgres.ts';
import { type RedisServer, startRedis } from '../servers/redis.ts';
import { until } from '../until.ts';

export const apiKey = randomBytes(24).toString('hex');
export const appId = '101';

/** One `playhead serve --workers 2`, which may be ended and started again. */
export interface Gateway {
  name: string;
  start(): Promise<void>;
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null>;
  /** Resident bytes of the primary and its workers, each time that `sample` was called since its last start. */
  readonly samples: number[];
  sample(): Promise<void>;
}

/** Everything that is deployed, on loopback. */
export interface Site {
  /** Of nginx. */
  url: string;
  gateways: [Gateway, Gateway];
  postgres: PostgresServer;
  redis: RedisServer;
  hubspot: Sandbox;
  /** Breaks every connection to the store for `ms`; undefined where the store is a folder. */
  resetStore: ((ms: number) => Promise<void>) | undefined;
  stop(): Promise<void>;
}

/** @param s3 endpoint of an S3 server; undefined for a shared folder */
export async function startSite(s3: string | undefined): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-soak-'));
  const closing: (() => unknown)[] = [() => rm(folder, { recursive: true, force: true })];
  const stop = async () => {
    for (const close of closing.splice(0).reverse()) {
      // One that cannot be ended must not keep the others.
      await Promise.resolve(close()).catch((error) => console.error(error));
    }
  };
  return start(s3, folder, closing, stop).catch(async (error) => {
    await stop();
    throw error;
  });
}

async function start(
  s3: string | undefined,
  folder: string,
  closing: (() => unknown)[],
  stop: () => Promise<void>,
): Promise<Site> {
  const later = { teardown: (close: () => unknown) => void closing.push(close) };
  const [postgresPort, nginxPort, ...ports] = await freePorts(4);
  const postgres = await startPostgres(postgresPort!);
  closing.push(postgres.remove);
  const redis = await startRedis();
  closing.push(redis.stop);
  const hubspot = await createSandbox({ limits: { requests: 100_000, searches: 1_000 }, searchLagMs: 500 });
  closing.push(hubspot.close);

  const url = `http://127.0.0.1:${nginxPort}`;
  hubspot.world.recordingUrls.set(appId, `${url}/retrieve/authenticated/recordings/%s`);
  const store: Record<string, string> = { PLAYHEAD_STORE: `file:${folder}/recordings` };
  let resetStore: Site['resetStore'];
  if (s3) {
    const proxy = await faultProxy(later as never, {
      host: new URL(s3).hostname,
      port: Number(new URL(s3).port),
    });
    const bucket = `playhead-soak-${randomBytes(6).toString('hex')}`;
    const client = new S3Client({ endpoint: s3, region: 'us-east-1', forcePathStyle: true });
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    closing.push(() => removeBucket(client, bucket));
    store.PLAYHEAD_STORE = `s3://${bucket}/calls`;
    store.PLAYHEAD_S3_ENDPOINT = proxy.url;
    store.PLAYHEAD_S3_FORCE_PATH_STYLE = 'true';
    resetStore = async (ms) => {
      proxy.down(true);
      await sleep(ms);
      proxy.down(false);
    };
  }
  const env = {
    PATH: process.env.PATH,
    AWS_ACCESS_KEY_ID: process.env.AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY: process.env.AWS_SECRET_ACCESS_KEY,
    ...store,
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
    return gateway(name, folder, {
      ...env,
      PLAYHEAD_PORT: String(port),
      PLAYHEAD_DATA_DIR: join(folder, name),
    });
  }) as [Gateway, Gateway];
  for (const each of gateways) {
    closing.push(() => each.kill('SIGTERM'));
    await each.start();
  }
  const nginx = await startBalancer(folder, nginxPort!, ports);
  closing.push(async () => {
    nginx.kill('SIGTERM');
    await ended(nginx);
  });
  return {
    url,
    gateways,
    postgres,
    redis,
    hubspot,
    resetStore,
    stop,
  };
}

function gateway(name: string, folder: string, env: NodeJS.ProcessEnv): Gateway {
  let child: ChildProcess | undefined;
  const samples: number[] = [];
  return {
    name,
    samples,
    async start() {
      samples.length = 0;
      await mkdir(env.PLAYHEAD_DATA_DIR!, { recursive: true });
      const log = openSync(join(folder, `${name}.log`), 'a');
      child = spawn(process.execPath, ['src/cli.ts', 'serve'], { env, stdio: ['ignore', log, log] });
      const ready = () =>
        fetch(`http://127.0.0.1:${env.PLAYHEAD_PORT}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
      await until(() => {
        if (child?.exitCode === null) return ready();
        throw new Error(`${name} does not start: ${readFileSync(join(folder, `${name}.log`), 'utf8')}`);
      }, 60_000);
    },
    async kill(signal) {
      if (!child) return null;
      child.kill(signal);
      return ended(child, 120_000);
    },
    async sample() {
      const sizes = await Promise.all((await familyOf(child!.pid!)).map(residentBytes));
      samples.push(sizes.reduce((sum, size) => sum + size, 0));
    },
  };
}

async function familyOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return [pid, ...children.split(' ').filter(Boolean).map(Number)];
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}

/** The nginx of deploy/nginx.conf, on other ports and without a log. */
async function startBalancer(folder: string, port: number, gateways: number[]): Promise<ChildProcess> {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = readFileSync(new URL('../../deploy/nginx.conf', import.meta.url), 'utf8')
    .replace('gateway-1:8080', `127.0.0.1:${gateways[0]}`)
    .replace('gateway-2:8080', `127.0.0.1:${gateways[1]}`)
    .replace('listen 8080', `listen 127.0.0.1:${port}`)
    .replace('/dev/stdout routes', `${folder}/access.log routes`)
    .replace('http {', `http { ${temporary.map((of) => `${of}_temp_path ${folder}/nginx-${of};`).join(' ')}`);
  await writeFile(join(folder, 'nginx.conf'), config);
  const directives = `daemon off; pid ${folder}/nginx.pid;`;
  const nginx = spawn('nginx', ['-p', folder, '-c', 'nginx.conf', '-g', directives], { stdio: 'ignore' });
  await until(async () => (await readdir(folder)).includes('nginx.pid'));
  return nginx;
}

/** An S3 server in memory would be full after a run or two. */
async function removeBucket(client: S3Client, Bucket: string): Promise<void> {
  for (;;) {
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
    if (!Contents?.length) break;
    const Objects = Contents.map(({ Key }) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  }
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  for (const { Key, UploadId } of Uploads) {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  }
  await client.send(new DeleteBucketCommand({ Bucket }));
  client.destroy();
}
