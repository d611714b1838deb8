import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { onPostgres } from './contracts/db.ts';
import { filesBelow } from './files.ts';
import { longRecording, spawnGateway, startGateway } from './gateway.ts';
import { ended } from './processes.ts';
import { faultProxy } from './servers/fault-proxy.ts';
import { until } from './until.ts';

/** The failures that docs/operations.md marks with †. */

const recording = await longRecording(2);

async function problemOf(response: Response) {
  const { code } = (await response.json()) as { code: string };
  return { status: response.status, code, retryAfter: Number(response.headers.get('retry-after')) };
}

const unavailable = (code: string) => ({ status: 503, code, retryAfter: 2 });

/** Repeats the request until its response has this status. */
async function becomes(status: number, request: () => Promise<Response>): Promise<number> {
  return until(async () => {
    const response = await request();
    await response.arrayBuffer();
    return response.status === status && status;
  });
}

async function bytesOf(url: string, headers: Record<string, string> = {}): Promise<Buffer> {
  return Buffer.from(await (await fetch(url, { headers })).arrayBuffer());
}

await t.test('the database is down', (t) =>
  onPostgres(t, 'Postgres', async (t, place) => {
    const { proxy, url } = await place.proxied();
    const gateway = await startGateway(t, { 'database-url': url });
    const played = await gateway.streamOf(recording);
    await bytesOf(played);
    await gateway.streamOf('inbound-caller1.wav', { externalId: 'unplayed' });
    const retrieve = () =>
      fetch(`${gateway.url}/k/${gateway.parts.apiKeys.accessKey}/retrieve/authenticated/recordings/unplayed`);
    t.equal((await retrieve()).status, 200);

    proxy.down(true);
    t.ok((await bytesOf(played)).equals(recording), 'a stream whose token was verified continues');
    t.ok((await bytesOf(played, { range: 'bytes=1000-1999' })).equals(recording.subarray(1000, 2000)));
    t.same(
      await problemOf(await retrieve()),
      unavailable('database_unavailable'),
      'a new retrieval fails for now',
    );
    t.same(
      await problemOf(await gateway.ingest('inbound-caller1.flac')),
      unavailable('database_unavailable'),
      'and so does an ingest',
    );
    const revoke = () => gateway.v1('/recordings/acct/bytes/revoke', { method: 'POST' });
    t.same(
      await problemOf(await revoke()),
      unavailable('database_unavailable'),
      'and a revocation, which is not acknowledged',
    );
    t.equal((await fetch(`${gateway.url}/healthz`)).status, 200, 'the process is alive');
    const ready = await fetch(`${gateway.url}/readyz`);
    t.match({ status: ready.status, ...(await ready.json()) }, { status: 503, database: 'out of reach' });

    proxy.down(false);
    t.equal(await becomes(200, retrieve), 200, 'it recovers without a restart');
    t.equal((await gateway.ingest('inbound-caller1.flac')).status, 201);
    t.equal((await revoke()).status, 204);
    t.equal(await becomes(401, () => fetch(played)), 401);
  }),
);

const endpoint = process.env.PLAYHEAD_TEST_S3_ENDPOINT;
t.test('S3 is down', { skip: endpoint ? false : 'PLAYHEAD_TEST_S3_ENDPOINT is not set' }, async (t) => {
  const bucket = `playhead-failures-${randomBytes(6).toString('hex')}`;
  const client = new S3Client({ endpoint: endpoint!, region: 'us-east-1', forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  t.teardown(() => client.destroy());
  const { hostname, port } = new URL(endpoint!);
  const proxy = await faultProxy(t, { host: hostname, port: Number(port) });
  const gateway = await startGateway(t, {
    store: `s3://${bucket}/calls`,
    's3-endpoint': proxy.url,
    's3-force-path-style': 'true',
  });
  const played = await gateway.streamOf(recording, { externalId: 'played' });
  await bytesOf(played);
  const restarted = await startGateway(t, {
    'data-dir': gateway.dataDir,
    store: `s3://${bucket}/calls`,
    's3-endpoint': proxy.url,
    's3-force-path-style': 'true',
  });
  const cold = played.replace(gateway.url, restarted.url);

  proxy.down(true);
  t.ok((await bytesOf(played)).equals(recording), 'cached blocks are still served');
  t.match(
    await problemOf(await fetch(cold)),
    { status: 503, code: 'origin_unavailable' },
    'everything else fails for now',
  );
  t.match(await problemOf(await gateway.ingest('inbound-caller1.flac')), {
    status: 503,
    code: 'origin_unavailable',
  });
  t.equal((await fetch(`${gateway.url}/readyz`)).status, 200, 'the gateway stays ready');

  proxy.down(false);
  t.equal(await becomes(200, () => fetch(cold)), 200, 'it recovers without a restart');
  t.ok((await bytesOf(cold)).equals(recording));
  t.equal((await gateway.ingest('inbound-caller1.flac')).status, 201);
});

/** A file system of a few megabytes, or undefined if mounting is not allowed. */
async function smallDisk(t: Test, megabytes: number) {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-small-'));
  const mount = (options: string) =>
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder], { stdio: 'ignore' });
  try {
    mount(`size=${megabytes}m`);
  } catch {
    return undefined;
  }
  t.teardown(async () => {
    execFileSync('umount', ['--lazy', folder]);
    await rm(folder, { recursive: true });
  });
  return { folder, grow: (size: number) => mount(`remount,size=${size}m`) };
}

const unmountable = 'mounting a small file system is not allowed here';

t.test('the disk is full: an ingest fails and leaves nothing, and streams continue', async (t) => {
  const disk = await smallDisk(t, 68);
  if (!disk) return t.test('full store', { skip: unmountable }, () => {});
  const gateway = await startGateway(t, { store: `file:${disk.folder}/store` });
  const url = await gateway.streamOf(recording);
  const failed = await gateway.ingest(await longRecording(3), { externalId: 'too much' });
  t.match(await problemOf(failed), { status: 507, code: 'storage_full' });
  t.equal((await filesBelow(disk.folder)).length, 1);
  t.equal((await gateway.v1('/recordings/acct/too%20much')).status, 404);
  t.ok((await bytesOf(url)).equals(recording));
  t.equal((await gateway.ingest('inbound-caller1.flac')).status, 201, 'a smaller recording is accepted');

  disk.grow(80);
  const accepted = await gateway.ingest(await longRecording(3), { externalId: 'too much' });
  t.equal(accepted.status, 201, 'once there is room, it is accepted without a restart');
});

t.test(
  'recordings fill the disk that the database is on: they can be revoked and erased, after a restart too',
  async (t) => {
    const disk = await smallDisk(t, 72);
    if (!disk) return t.test('full data folder', { skip: unmountable }, () => {});
    const settings = { 'data-dir': join(disk.folder, 'data') };
    const before = await spawnGateway(t, settings);
    let count = 0;
    for (const audio of [await longRecording(4), await longRecording(1), 'inbound-caller1.mp4']) {
      for (;;) {
        const response = await before.ingest(audio, { externalId: `call-${count}` });
        if (response.status !== 201) {
          t.match(await problemOf(response), { status: 507, code: 'storage_full' });
          break;
        }
        count++;
      }
    }
    before.child.kill('SIGTERM');
    await ended(before.child);

    const gateway = await spawnGateway(t, settings);
    for (let index = 0; index < count; index++) {
      const path = `/recordings/acct/call-${index}`;
      t.equal((await gateway.v1(`${path}/revoke`, { method: 'POST' })).status, 204, `revoke ${index}`);
      t.equal((await gateway.v1(path, { method: 'DELETE' })).status, 204, `erase ${index}`);
    }
  },
);

t.test('the disk is full at the first start: the message says so, and the next start works', async (t) => {
  const disk = await smallDisk(t, 1);
  if (!disk) return t.test('full data folder', { skip: unmountable }, () => {});
  const dataDir = join(disk.folder, 'data');
  execFileSync('dd', ['if=/dev/zero', `of=${disk.folder}/ballast`, 'bs=1k', 'count=980'], {
    stdio: 'ignore',
  });
  const settings = { 'data-dir': dataDir, 'log-level': 'silent' };
  const failed = await spawnGateway(t, settings).catch((error: Error) => error.message);
  t.match(failed, /ended with 1: .*(no room|full)/i);

  disk.grow(80);
  const gateway = await spawnGateway(t, settings);
  t.ok((await bytesOf(await gateway.streamOf(recording))).equals(recording));
});
