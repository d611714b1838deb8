import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { eachEngine, type Place } from '../contracts/db.ts';
import { longRecording, spawnGateway } from '../gateway.ts';
import { openStream } from '../listener.ts';
import { ended, isRunning } from '../processes.ts';
import { listen } from '../servers/serve.ts';
import { until } from '../until.ts';

const recording = await longRecording(8);
const twoWorkers = { workers: '2', 'log-level': 'silent' };

/** Each request has a connection of its own, so that the workers take turns. */
const request = (url: string) => openStream(url, false);

async function statusOf(url: string): Promise<number> {
  const response = await request(url);
  response.resume();
  return response.statusCode!;
}

async function workersOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

/** The values of one metric, by worker. */
function byWorker(page: string, metric: string): number[] {
  const lines = page.split('\n').filter((line) => line.startsWith(`${metric}{`) && line.includes('worker='));
  return lines.map((line) => Number(line.split(' ').at(-1)));
}

/** A gateway of two workers. Resolves when both serve. */
async function spawnWorkers(t: Test, settings: Record<string, string> = {}) {
  const gateway = await spawnGateway(t, { ...twoWorkers, ...settings });
  const metrics = async () => text(await request(`${gateway.url}/metrics`));
  await until(async () => byWorker(await metrics(), 'playhead_active_streams').length === 2);
  return { ...gateway, metrics };
}

const sharing = async (t: Test, place: Place) => {
  const gateway = await spawnWorkers(t, { 'database-url': place.url });
  const url = await gateway.streamOf(recording);

  await t.test('/metrics has the counts of both workers, from either of them', async (t) => {
    for (let sent = 0; sent < 10; sent++) t.equal(await statusOf(`${gateway.url}/healthz`), 200);
    const healthz = await until(async () => {
      // A worker that responses too late is left out of the page.
      const lines = (await gateway.metrics()).split('\n');
      const both = lines.filter((line) => line.includes('route="/healthz"') && /_total/.test(line));
      return both.length === 2 && both;
    });
    t.equal(healthz.length, 2, 'one line for each worker');
    t.equal(
      healthz.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0),
      10,
    );
  });

  await t.test('both workers deny what one has revoked', async (t) => {
    for (let sent = 0; sent < 4; sent++) t.equal(await statusOf(url), 200);
    const { status } = await gateway.v1('/recordings/acct/bytes/revoke', { method: 'POST' });
    t.equal(status, 204);
    const denied = async () =>
      (await Promise.all(Array.from({ length: 6 }, () => statusOf(url)))).every(
        (status) => status === 401 || status === 429,
      ); // 429 after sixty failures in a minute
    t.ok(await until(denied));
  });

  await t.test('a killed worker is replaced, and requests succeed meanwhile', async (t) => {
    const before = await workersOf(gateway.child.pid!);
    process.kill(before[0]!, 'SIGKILL');
    await until(() => /Worker 1 exited with SIGKILL\. A new worker replaces it\./.test(gateway.log()));
    for (let sent = 0; sent < 5; sent++) t.equal(await statusOf(`${gateway.url}/healthz`), 200);
    const after = await until(async () => {
      const pids = await workersOf(gateway.child.pid!);
      return pids.length === 2 && pids;
    });
    t.notOk(after.includes(before[0]!));
  });
};

t.test('two workers', (t) => eachEngine(t, 'share a database', sharing));

t.test('SIGTERM: the streams of every worker end whole', async (t) => {
  const gateway = await spawnWorkers(t);
  const url = await gateway.streamOf(recording);
  const responses = await Promise.all(Array.from({ length: 6 }, () => request(url)));
  gateway.child.kill('SIGTERM');
  await until(() =>
    request(`${gateway.url}/healthz`).then(
      (response) => {
        response.resume();
        return false;
      },
      () => true,
    ),
  );
  await t.rejects(request(`${gateway.url}/healthz`), 'connections are denied');
  for (const response of responses) t.ok((await buffer(response)).equals(recording));
  t.equal(await ended(gateway.child), 0);
});

t.test('a second signal ends every process at once', async (t) => {
  const gateway = await spawnWorkers(t);
  const workers = await workersOf(gateway.child.pid!);
  const response = await request(await gateway.streamOf(recording));
  response.on('error', () => {});
  gateway.child.kill('SIGTERM');
  gateway.child.kill('SIGINT');
  t.equal(await ended(gateway.child), 1);
  t.ok(await until(() => !workers.some(isRunning)));
});

t.test('SIGTERM to every process, as systemd sends it, still drains', async (t) => {
  const gateway = await spawnWorkers(t);
  const response = await request(await gateway.streamOf(recording));
  for (const pid of [...(await workersOf(gateway.child.pid!)), gateway.child.pid!])
    process.kill(pid, 'SIGTERM');
  t.ok((await buffer(response)).equals(recording));
  t.equal(await ended(gateway.child), 0);
});

t.test('a hung worker is killed after the drain limit', async (t) => {
  const gateway = await spawnWorkers(t, { 'drain-timeout': '1s' });
  const [hanging] = await workersOf(gateway.child.pid!);
  process.kill(hanging!, 'SIGSTOP');
  t.teardown(() => isRunning(hanging!) && process.kill(hanging!, 'SIGKILL'));
  gateway.child.kill('SIGTERM');
  t.equal(await ended(gateway.child), 0);
  t.notOk(isRunning(hanging!));
});

t.test('no worker outlives a killed primary', async (t) => {
  const gateway = await spawnWorkers(t);
  const workers = await workersOf(gateway.child.pid!);
  t.equal(workers.length, 2);
  gateway.child.kill('SIGKILL');
  t.ok(await until(() => !workers.some(isRunning)));
});

t.test('workers that die at once are replaced after growing delays', async (t) => {
  const gateway = await spawnWorkers(t);
  const killed = new Set<number>();
  const end = performance.now() + 2_000;
  while (performance.now() < end) {
    for (const pid of await workersOf(gateway.child.pid!)) {
      if (!killed.has(pid) && isRunning(pid)) process.kill(pid, 'SIGKILL');
      killed.add(pid);
    }
    await sleep(5);
  }
  t.ok(killed.size <= 10, `${killed.size} in two seconds`);
});

t.test('if the first worker cannot start, the command ends with its message and exit code', async (t) => {
  const { port } = await listen(t, createServer());
  const failed = await spawnGateway(t, { ...twoWorkers, port: String(port) }).catch(
    (error: Error) => error.message,
  );
  t.match(failed, /ended with 1/);
  t.equal((failed as string).match(/EADDRINUSE/g)?.length, 1, 'the message is printed once');
});

t.test('a worker that cannot start is not replaced, and the command ends with the last one', async (t) => {
  const gateway = await spawnGateway(t, { workers: '2' });
  await until(() => gateway.log().match(/Server listening/g)?.length === 2);
  const away = `${gateway.dataDir}-away`;
  await rename(gateway.dataDir, away);
  await writeFile(gateway.dataDir, 'no folder');
  t.teardown(() => rm(away, { recursive: true, force: true }));

  const [first, second] = await workersOf(gateway.child.pid!);
  process.kill(first!, 'SIGKILL');
  await until(() => gateway.log().includes('cannot start with these settings'));
  t.match(gateway.log(), /PLAYHEAD_DATA_DIR needs the folder/);
  t.equal(await statusOf(`${gateway.url}/healthz`), 200, 'the other one serves');
  process.kill(second!, 'SIGKILL');
  t.equal(await ended(gateway.child), 64);
});
