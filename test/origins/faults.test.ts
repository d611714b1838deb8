import { execFileSync, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { createServer as createTlsServer, setDefaultCACertificates } from 'node:tls';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { createMetrics } from '../../src/metrics.ts';
import { BlockCache } from '../../src/origins/cache/block-cache.ts';
import { Memory } from '../../src/origins/cache/memory.ts';
import { HealingOrigin } from '../../src/origins/healing.ts';
import { HttpOrigin } from '../../src/origins/http/http.ts';
import type { ByteRange, Origin, Version } from '../../src/origins/origin.ts';
import { S3Store } from '../../src/origins/s3/s3.ts';
import { pattern, untilReleased } from '../contracts/origin.ts';
import { freshFolder, replaceFile } from '../files.ts';
import { seeded } from '../random.ts';
import { type Fault, faultProxy } from '../servers/fault-proxy.ts';
import { startNginx, withoutNginx } from '../servers/nginx.ts';
import { listen } from '../servers/serve.ts';

const megabyte = 1024 * 1024;
const stallTimeoutMs = 1000;
const s3Endpoint = process.env.PLAYHEAD_TEST_S3_ENDPOINT;

/** One recording on a sound server, and the way to it through a proxy that breaks connections. */
interface Server {
  readonly port: number;
  /** Its responses are encrypted: the proxy can break them, but not alter them. It also needs fewer connections. */
  readonly isSealed?: boolean;
  put(bytes: Uint8Array): Promise<void>;
  through(url: string): { origin: Origin & { readonly underWay: number }; key: string };
}

const servers: [name: string, skip: string | false, start: (t: Test) => Promise<Server>][] = [
  ['S3', s3Endpoint ? false : 'PLAYHEAD_TEST_S3_ENDPOINT is not set', startS3],
  ['a vendor', withoutNginx, startVendor],
  ['a vendor by https', withoutNginx || withoutOpenssl(), startSecureVendor],
];

function withoutOpenssl(): string | false {
  return spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed';
}

async function startS3(t: Test): Promise<Server> {
  const admin = new S3Client({ endpoint: s3Endpoint!, region: 'us-east-1', forcePathStyle: true });
  const object = { Bucket: `playhead-faults-${process.pid}-${Date.now()}`, Key: 'a.wav' };
  await admin.send(new CreateBucketCommand({ Bucket: object.Bucket }));
  t.teardown(async () => {
    await admin.send(new DeleteObjectCommand(object));
    await admin.send(new DeleteBucketCommand({ Bucket: object.Bucket }));
  });
  return {
    port: Number(new URL(s3Endpoint!).port),
    async put(Body) {
      await admin.send(new PutObjectCommand({ ...object, Body }));
    },
    through(endpoint) {
      const metrics = createMetrics();
      const origin = new S3Store({
        bucket: object.Bucket,
        endpoint,
        forcePathStyle: true,
        stallTimeoutMs,
        metrics,
      });
      t.teardown(() => origin.close());
      return { origin, key: object.Key };
    },
  };
}

async function startVendor(t: Test): Promise<Server> {
  const root = await freshFolder(t);
  const { port } = await startNginx(t, root);
  return {
    port,
    put: (bytes) => replaceFile(join(root, 'a.wav'), bytes),
    through(url) {
      const limits = { maxBytes: 1e9, fetchTimeoutMs: 10_000, stallTimeoutMs };
      const allowedHosts = [new URL(url).host];
      const origin = new HttpOrigin({
        allowedHosts,
        credentials: new Map(),
        ...limits,
        metrics: createMetrics(),
      });
      t.teardown(() => origin.close());
      return { origin, key: `${url}/a.wav` };
    },
  };
}

/** TLS in front of a vendor's server. */
async function startSecureVendor(t: Test): Promise<Server> {
  const vendor = await startVendor(t);
  const folder = t.testdir();
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
  const request = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test';
  const more = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile];
  execFileSync('openssl', [...request.split(' '), ...more], { stdio: 'ignore' });
  const cert = await readFile(certFile, 'utf8');
  setDefaultCACertificates([cert]);
  const server = createTlsServer({ key: await readFile(keyFile), cert }, (client) => {
    const plain = connect(vendor.port, '127.0.0.1');
    client.on('error', () => plain.destroy()).on('close', () => plain.destroy());
    plain.on('error', () => client.destroy());
    client.pipe(plain).pipe(client);
  });
  const { port } = await listen(
    t,
    server.on('tlsClientError', () => {}),
  );
  return {
    port,
    isSealed: true,
    put: vendor.put,
    through: (url) => vendor.through(url.replace(/^http:/, 'https:')),
  };
}

/** Random numbers from 0 to below `n`, the same in each run. */
function dice(seed: number): (n: number) => number {
  const random = seeded(seed);
  return (n) => Math.floor(random() * n);
}

type Outcome = 'exact' | 'broken' | 'wrong bytes' | 'short, with a clean end';

async function outcomeOf(
  origin: Origin,
  key: string,
  range: ByteRange,
  version: Version,
  bytes: Buffer,
): Promise<Outcome> {
  let at = range.first;
  try {
    for await (const chunk of await origin.read(key, range, version, new AbortController().signal)) {
      await turn(); // a chunk stays valid until the next one is requested
      if (!bytes.subarray(at, at + chunk.length).equals(chunk)) return 'wrong bytes';
      at += chunk.length;
    }
  } catch {
    return 'broken';
  }
  return at === range.last + 1 ? 'exact' : 'short, with a clean end';
}

/** Runs `count` reads, `atOnce` at a time, and counts their outcomes. */
async function tally(
  count: number,
  atOnce: number,
  read: () => Promise<Outcome>,
): Promise<Record<Outcome, number>> {
  const counts = { exact: 0, broken: 0, 'wrong bytes': 0, 'short, with a clean end': 0 };
  let left = count;
  const reader = async () => {
    while (left-- > 0) {
      const outcome = await read();
      counts[outcome]++;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, reader));
  return counts;
}

/** One connection of twenty is whole. The others reset, end, stall or drip after at most `within` bytes. */
function troubles(within: number): (connection: number) => Fault | undefined {
  const roll = dice(7);
  return () => {
    const after = roll(within);
    const kind = roll(20);
    if (kind === 0) return undefined;
    if (kind < 10) return { kind: 'reset', after };
    if (kind < 16) return { kind: 'end', after };
    if (kind < 18) return { kind: 'stall', after };
    return { kind: 'drip', after, bytes: 16_384, everyMs: 1 };
  };
}

/** One head of ten has another ETag, or a Content-Length that is one byte off. */
function alterations(): { alter(chunk: Buffer): Buffer; count: () => number } {
  const roll = dice(11);
  let count = 0;
  const rewrite: ((head: string) => string)[] = [
    (head) => head.replace(/(etag: ")(.)/i, (_, before, digit) => before + (digit === '0' ? '1' : '0')),
    (head) =>
      head.replace(
        /(content-length: \d*)(\d)/i,
        (_, before, digit) => before + (digit === '9' ? '8' : Number(digit) + 1),
      ),
    (head) =>
      head.replace(
        /(content-length: \d*)(\d)/i,
        (_, before, digit) => before + (digit === '0' ? '1' : Number(digit) - 1),
      ),
  ];
  return {
    count: () => count,
    alter(chunk) {
      if (!chunk.subarray(0, 12).equals(Buffer.from('HTTP/1.1 206')) || roll(10) > 0) return chunk;
      count++;
      return Buffer.from(rewrite[roll(rewrite.length)]!(chunk.toString('latin1')), 'latin1');
    },
  };
}

for (const [name, skip, start] of servers) {
  t.test(`${name}: 1,000 ranges through every kind of fault`, { skip }, async (t) => {
    const server = await start(t);
    const bytes = pattern(3 * megabyte);
    await server.put(bytes);
    const altered = alterations();
    const proxy = await faultProxy(t, server, troubles(400_000), altered.alter);
    const { origin, key } = server.through(proxy.url);
    const version = await versionOf(server);
    const healing = new HealingOrigin(origin, { metrics: createMetrics(), stallTimeoutMs, backoffMs: 5 });

    const roll = dice(1);
    const counts = await tally(1000, 25, () => {
      const first = roll(bytes.length);
      const last = Math.min(bytes.length - 1, first + roll(200_000));
      return outcomeOf(healing, key, { first, last }, version, bytes);
    });
    t.equal(counts['wrong bytes'], 0, 'no wrong byte');
    t.equal(counts['short, with a clean end'], 0, 'none short with a clean end');
    t.ok(counts.exact > 500, `${counts.exact} byte-exact, ${counts.broken} broken`);
    t.ok(
      proxy.counts.faults > (server.isSealed ? 50 : 200),
      `${proxy.counts.faults} connections were broken`,
    );
    t.ok(server.isSealed || altered.count() > 50, `${altered.count()} heads were altered`);
    t.equal(await untilReleased(() => origin.underWay), 0, 'no connection is held');
  });

  t.test(`${name}: 50 whole reads through every kind of fault`, { skip }, async (t) => {
    const server = await start(t);
    const bytes = pattern(4 * megabyte + 99);
    await server.put(bytes);
    const altered = alterations();
    const proxy = await faultProxy(t, server, troubles(2 * megabyte), altered.alter);
    const { origin, key } = server.through(proxy.url);
    const version = await versionOf(server);
    const whole = { first: 0, last: bytes.length - 1 };

    const counts = await tally(50, 10, () => {
      const healing = new HealingOrigin(origin, { metrics: createMetrics(), stallTimeoutMs, backoffMs: 5 });
      // Each has a cache of its own: otherwise only the first would meet the faults.
      const blocks = new BlockCache(healing, {
        name: 'store',
        memory: new Memory(8 * megabyte),
        metrics: createMetrics(),
      });
      return outcomeOf(blocks, key, whole, version, bytes);
    });
    t.equal(counts['wrong bytes'], 0, 'no wrong byte');
    t.equal(counts['short, with a clean end'], 0, 'none short with a clean end');
    t.ok(counts.exact > 25, `${counts.exact} byte-exact, ${counts.broken} broken`);
    t.ok(proxy.counts.faults > (server.isSealed ? 12 : 25), `${proxy.counts.faults} connections were broken`);
    t.equal(await untilReleased(() => origin.underWay), 0, 'no connection is held');
  });

  t.test(`${name}: 200 reads of a recording that is replaced meanwhile`, { skip }, async (t) => {
    const server = await start(t);
    const contents = [pattern(2 * megabyte, 0), pattern(2 * megabyte, 1)];
    const versions: Version[] = [];
    const direct = server.through(`http://127.0.0.1:${server.port}`);
    const proxy = await faultProxy(t, server, troubles(megabyte));
    const { origin, key } = server.through(proxy.url);
    const healing = new HealingOrigin(origin, { metrics: createMetrics(), stallTimeoutMs, backoffMs: 5 });

    let replaced = 0;
    const replace = async () => {
      await server.put(contents[replaced % 2]!);
      versions[replaced % 2] = await direct.origin.stat(direct.key);
      replaced++;
    };
    await replace();
    let started = 0;
    let replacing = Promise.resolve();

    const roll = dice(3);
    const counts = await tally(200, 10, () => {
      if (++started % 20 === 0) replacing = replacing.then(replace);
      const current = (replaced + 1) % 2; // the content that was put last
      const first = roll(megabyte);
      const range = { first, last: first + roll(megabyte) };
      return outcomeOf(healing, key, range, versions[current]!, contents[current]!);
    });
    await replacing;
    t.equal(counts['wrong bytes'], 0, 'no body is of two versions');
    t.equal(counts['short, with a clean end'], 0, 'none short with a clean end');
    t.ok(counts.exact > 0 && counts.broken > 0, `${counts.exact} byte-exact, ${counts.broken} broken`);
    t.ok(replaced > 5, `replaced ${replaced} times`);
  });
}

async function versionOf(server: Server): Promise<Version> {
  const { origin, key } = server.through(`http://127.0.0.1:${server.port}`);
  return origin.stat(key);
}
