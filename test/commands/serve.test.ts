import { access } from 'node:fs/promises';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import t from 'tap';
import { longRecording, spawnGateway } from '../gateway.ts';
import { openStream } from '../listener.ts';
import { ended } from '../processes.ts';
import { succeeds, until } from '../until.ts';

const recording = await longRecording(24);

t.test('SIGTERM: no new connection, and an open stream ends whole', async (t) => {
  const gateway = await spawnGateway(t);
  const response = await openStream(await gateway.streamOf(recording));
  gateway.child.kill('SIGTERM');
  await until(async () => !(await succeeds(fetch(`${gateway.url}/healthz`))));
  await t.rejects(fetch(`${gateway.url}/healthz`), 'connections are refused');
  t.equal(gateway.child.exitCode, null, 'the process still runs');
  t.ok((await buffer(response)).equals(recording), 'the listener gets every byte');
  t.equal(await ended(gateway.child), 0);
});

for (const workers of ['1', '2']) {
  const count = `${workers} worker${workers === '1' ? '' : 's'}`;

  t.test(`SIGTERM, ${count}: an idle connection of a proxy does not delay the exit`, async (t) => {
    const gateway = await spawnGateway(t, { workers, 'drain-timeout': '60s' });
    const proxy = new Agent({ keepAlive: true });
    t.teardown(() => proxy.destroy());
    const response = await openStream(await gateway.streamOf(recording), proxy);
    gateway.child.kill('SIGTERM');
    t.ok((await buffer(response)).equals(recording));
    t.equal(await ended(gateway.child), 0);
  });

  t.test(`SIGTERM, ${count}: a stream longer than the drain limit is cut off`, async (t) => {
    const gateway = await spawnGateway(t, { workers, 'drain-timeout': '200ms' });
    const response = await openStream(await gateway.streamOf(recording));
    gateway.child.kill('SIGTERM');
    t.equal(await ended(gateway.child), 0);
    await t.rejects(buffer(response), 'the listener sees a broken connection');
  });
}

t.test('SIGUSR1 opens no inspector', async (t) => {
  const gateway = await spawnGateway(t);
  gateway.child.kill('SIGUSR1');
  gateway.child.kill('SIGTERM');
  t.equal(await ended(gateway.child), 0);
  t.notMatch(gateway.log(), /Debugger/);
});

t.test('a second signal ends the process at once', async (t) => {
  const gateway = await spawnGateway(t);
  const response = await openStream(await gateway.streamOf(recording));
  response.on('error', () => {});
  gateway.child.kill('SIGTERM');
  gateway.child.kill('SIGINT');
  t.equal(await ended(gateway.child), 1);
});

t.test('a stalled listener is cut off', async (t) => {
  const patient = await spawnGateway(t);
  const url = await patient.streamOf(recording); // without the short timeout, which a busy machine may exceed here
  const gateway = await spawnGateway(t, { 'data-dir': patient.dataDir, 'stall-timeout': '500ms' });
  const response = await openStream(url.replace(patient.url, gateway.url));
  await until(() => gateway.log().includes('stream aborted'));
  await t.rejects(buffer(response));
});

t.test('recordings and URLs survive a restart on the same data folder', async (t) => {
  const first = await spawnGateway(t);
  const url = await first.streamOf('inbound-caller1.flac');
  first.child.kill('SIGKILL');
  await ended(first.child);
  const second = await spawnGateway(t, { 'data-dir': first.dataDir });
  const moved = url.replace(first.url, second.url);
  t.equal((await fetch(moved)).status, 200, 'a URL issued before the restart still works');
});

t.test('a start without a disk cache removes its blocks', async (t) => {
  const dataDir = t.testdir({ blocks: { ['0'.repeat(64)]: 'audio' } });
  await spawnGateway(t, { 'data-dir': dataDir });
  await t.rejects(access(join(dataDir, 'blocks')), { code: 'ENOENT' });
});
