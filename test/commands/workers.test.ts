import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { eachEngine, type Place } from '../contracts/db.ts';
import { ended } from '../ended.ts';
import { longRecording, spawnGateway } from '../gateway.ts';
import { until } from '../until.ts';

const recording = await longRecording(8);
const crew = { workers: '2', 'log-level': 'silent' };

/** On a connection of its own, so that the workers take turns. */
function ask(url: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { agent: false }, (answer) => resolve(answer.pause())).on('error', reject);
  return promise;
}

async function bytesOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function statusOf(url: string): Promise<number> {
  const answer = await ask(url);
  answer.resume();
  return answer.statusCode!;
}

async function workersOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The values of one metric, by worker. */
function byWorker(page: string, metric: string): number[] {
  const lines = page.split('\n').filter((line) => line.startsWith(`${metric}{`) && line.includes('worker='));
  return lines.map((line) => Number(line.split(' ').at(-1)));
}

/** A gateway of two workers, both of which serve. */
async function spawnCrew(t: Test, settings: Record<string, string> = {}) {
  const gateway = await spawnGateway(t, { ...crew, ...settings });
  const metrics = async () => (await bytesOf(await ask(`${gateway.url}/metrics`))).toString();
  await until(async () => byWorker(await metrics(), 'playhead_active_streams').length === 2);
  return { ...gateway, metrics };
}

const sharing = async (t: Test, place: Place) => {
  const gateway = await spawnCrew(t, { 'database-url': place.url });
  const url = await gateway.streamOf(recording);

  await t.test('/metrics counts what both have done, whichever is asked', async (t) => {
    for (let asked = 0; asked < 10; asked++) t.equal(await statusOf(`${gateway.url}/healthz`), 200);
    const healthz = await until(async () => {
      // A worker that answers too late is left out of the page.
      const lines = (await gateway.metrics()).split('\n');
      const both = lines.filter((line) => line.includes('route="/healthz"') && /_total/.test(line));
      return both.length === 2 && both;
    });
    t.equal(healthz.length, 2, 'each worker has a line of its own');
    t.equal(
      healthz.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0),
      10,
    );
  });

  await t.test('what one revokes, both refuse', async (t) => {
    for (let asked = 0; asked < 4; asked++) t.equal(await statusOf(url), 200);
    const { status } = await gateway.v1('/recordings/acct/bytes/revoke', { method: 'POST' });
    t.equal(status, 204);
    const refused = async () =>
      (await Promise.all(Array.from({ length: 6 }, () => statusOf(url)))).every((status) => status === 401);
    t.ok(await until(refused));
  });

  await t.test('one that is killed is replaced, and requests go on', async (t) => {
    const before = await workersOf(gateway.child.pid!);
    process.kill(before[0]!, 'SIGKILL');
    await until(() => /Worker 1 exited with SIGKILL\. A new worker replaces it\./.test(gateway.log()));
    for (let asked = 0; asked < 5; asked++) t.equal(await statusOf(`${gateway.url}/healthz`), 200);
    const after = await until(async () => {
      const pids = await workersOf(gateway.child.pid!);
      return pids.length === 2 && pids;
    });
    t.notOk(after.includes(before[0]!));
  });
};

t.test('two workers', (t) => eachEngine(t, 'share a database', sharing));

t.test('SIGTERM: streams of every worker end whole', async (t) => {
  const gateway = await spawnCrew(t);
  const url = await gateway.streamOf(recording);
  const answers = await Promise.all(Array.from({ length: 6 }, () => ask(url)));
  gateway.child.kill('SIGTERM');
  await until(() =>
    ask(`${gateway.url}/healthz`).then(
      (answer) => {
        answer.resume();
        return false;
      },
      () => true,
    ),
  );
  await t.rejects(ask(`${gateway.url}/healthz`), 'connections are refused');
  for (const answer of answers) t.ok((await bytesOf(answer)).equals(recording));
  t.equal(await ended(gateway.child), 0);
});

t.test('a second signal ends every process at once', async (t) => {
  const gateway = await spawnCrew(t);
  const workers = await workersOf(gateway.child.pid!);
  const answer = await ask(await gateway.streamOf(recording));
  answer.on('error', () => {});
  gateway.child.kill('SIGTERM');
  gateway.child.kill('SIGINT');
  t.equal(await ended(gateway.child), 1);
  t.ok(await until(() => !workers.some(isRunning)));
});

t.test('SIGTERM sent to every process, as by systemd, still drains', async (t) => {
  const gateway = await spawnCrew(t);
  const answer = await ask(await gateway.streamOf(recording));
  for (const pid of [...(await workersOf(gateway.child.pid!)), gateway.child.pid!])
    process.kill(pid, 'SIGTERM');
  t.ok((await bytesOf(answer)).equals(recording));
  t.equal(await ended(gateway.child), 0);
});

t.test('a worker that hangs does not keep the others from ending', async (t) => {
  const gateway = await spawnCrew(t, { 'drain-timeout': '1s' });
  const [hanging] = await workersOf(gateway.child.pid!);
  process.kill(hanging!, 'SIGSTOP');
  t.teardown(() => isRunning(hanging!) && process.kill(hanging!, 'SIGKILL'));
  gateway.child.kill('SIGTERM');
  t.equal(await ended(gateway.child), 0);
  t.notOk(isRunning(hanging!));
});

t.test('no worker outlives a primary that was killed', async (t) => {
  const gateway = await spawnCrew(t);
  const workers = await workersOf(gateway.child.pid!);
  t.equal(workers.length, 2);
  gateway.child.kill('SIGKILL');
  t.ok(await until(() => !workers.some(isRunning)));
});

t.test('workers that die at once come back ever more slowly', async (t) => {
  const gateway = await spawnCrew(t);
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

t.test(
  'where the first worker cannot start, its sentence and its exit code are those of the command',
  async (t) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    t.teardown(() => taken.close());
    const { port } = taken.address() as { port: number };
    const failed = await spawnGateway(t, { ...crew, port: String(port) }).catch(
      (error: Error) => error.message,
    );
    t.match(failed, /ended with 1/);
    t.equal((failed as string).match(/EADDRINUSE/g)?.length, 1, 'said once');
  },
);
