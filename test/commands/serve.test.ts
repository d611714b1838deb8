import { access } from 'node:fs/promises';
import { Agent, get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { ended } from '../ended.ts';
import { longRecording, spawnGateway } from '../gateway.ts';
import { until } from '../until.ts';

const recording = await longRecording(24);

/** A listener that has read the head of its answer and nothing more. */
function listen(url: string, agent?: Agent): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { agent }, (answer) => resolve(answer.pause())).on('error', reject);
  return promise;
}

async function readOn(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return Buffer.concat(chunks);
}

t.test('SIGTERM: no new connection, and a stream under way ends whole', async (t) => {
  const gateway = await spawnGateway(t);
  const answer = await listen(await gateway.streamOf(recording));
  gateway.child.kill('SIGTERM');
  await until(() =>
    fetch(`${gateway.url}/healthz`).then(
      () => false,
      () => true,
    ),
  );
  await t.rejects(fetch(`${gateway.url}/healthz`), 'connections are refused');
  t.equal(gateway.child.exitCode, null, 'it still runs');
  t.ok((await readOn(answer)).equals(recording), 'the listener has every byte');
  t.equal(await ended(gateway.child), 0);
});

for (const workers of ['1', '2']) {
  const of = `${workers} worker${workers === '1' ? '' : 's'}`;

  t.test(`SIGTERM, ${of}: a connection that a proxy keeps open is no stream`, async (t) => {
    const gateway = await spawnGateway(t, { workers, 'drain-timeout': '60s' });
    const proxy = new Agent({ keepAlive: true });
    t.teardown(() => proxy.destroy());
    const answer = await listen(await gateway.streamOf(recording), proxy);
    gateway.child.kill('SIGTERM');
    t.ok((await readOn(answer)).equals(recording));
    t.equal(await ended(gateway.child), 0);
  });

  t.test(`SIGTERM, ${of}: a stream that outlasts the drain limit is broken off`, async (t) => {
    const gateway = await spawnGateway(t, { workers, 'drain-timeout': '200ms' });
    const answer = await listen(await gateway.streamOf(recording));
    gateway.child.kill('SIGTERM');
    t.equal(await ended(gateway.child), 0);
    await t.rejects(readOn(answer), 'the listener sees a broken connection');
  });
}

t.test('a second signal ends it at once', async (t) => {
  const gateway = await spawnGateway(t);
  const answer = await listen(await gateway.streamOf(recording));
  answer.on('error', () => {});
  gateway.child.kill('SIGTERM');
  gateway.child.kill('SIGINT');
  t.equal(await ended(gateway.child), 1);
});

t.test('a listener that stands still is cut off', async (t) => {
  const patient = await spawnGateway(t);
  const url = await patient.streamOf(recording); // which a busy machine may take longer for than the other waits
  const gateway = await spawnGateway(t, { 'data-dir': patient.dataDir, 'stall-timeout': '500ms' });
  const answer = await listen(url.replace(patient.url, gateway.url));
  await until(() => gateway.log().includes('stream aborted'));
  await t.rejects(readOn(answer));
});

t.test('what was stored is there after a restart on the same data folder', async (t) => {
  const first = await spawnGateway(t);
  const url = await first.streamOf('inbound-caller1.flac');
  first.child.kill('SIGKILL');
  await ended(first.child);
  const second = await spawnGateway(t, { 'data-dir': first.dataDir });
  const moved = url.replace(first.url, second.url);
  t.equal((await fetch(moved)).status, 200, 'and the URL given out before still works');
});

t.test('what a disk cache has kept is removed once there is none', async (t) => {
  const dataDir = t.testdir({ blocks: { 'of-an-erased-recording': 'audio' } });
  await spawnGateway(t, { 'data-dir': dataDir });
  await t.rejects(access(join(dataDir, 'blocks')), { code: 'ENOENT' });
});
