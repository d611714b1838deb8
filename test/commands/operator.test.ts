import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { createSandbox } from '../../src/sandbox/sandbox.ts';
import { startGateway } from '../gateway.ts';
import { ended } from '../processes.ts';
import { until } from '../until.ts';
import { playhead } from './playhead.ts';

/** A sandbox, and the settings that lead to it. */
async function startSandbox(t: Test) {
  const sandbox = await createSandbox({});
  t.teardown(() => sandbox.close());
  return {
    'hubspot-api-base': sandbox.url,
    'hubspot-app-id': '101',
    'hubspot-access-token': 'sandbox-token',
    'public-url': 'https://playhead.example',
  };
}

t.test('register sends the URL to HubSpot, and --show prints what HubSpot has', async (t) => {
  const flags = Object.entries(await startSandbox(t)).flatMap(([name, value]) => [`--${name}`, value]);
  const dataDir = t.testdir();
  const register = (...args: string[]) => playhead(dataDir, 'register', ...args, ...flags);

  t.match(await register('--show'), { code: 1, stdout: /^No URL is registered/ });
  const { code, stdout } = await register();
  t.equal(code, 0);
  t.match(stdout, /^https:\/\/playhead\.example\/k\/\S+%s\n$/);
  t.same(await register('--show'), { code: 0, stdout, stderr: '' });
});

t.test('outbox lists the jobs, and retries one or all dead letters', async (t) => {
  const gateway = await startGateway(t, { ...(await startSandbox(t)), 'hubspot-access-token': 'unknown' });
  const outbox = (...args: string[]) =>
    playhead(gateway.dataDir, 'outbox', ...args, '--database-url', gateway.config.databaseUrl);
  t.match(await outbox(), { code: 0, stdout: 'The outbox is empty.\n' });

  gateway.parts.dispatcher.start();
  await gateway.ingest('inbound-caller1.flac', { externalId: '1', call: { title: 'A call' } });
  const isDead = async () => (await outbox('list', '--state', 'dead')).stdout.includes('acct/1');
  await until(isDead);
  const [job] = JSON.parse((await outbox('list', '--json')).stdout);
  t.match(job, { state: 'dead', accountId: 'acct', externalId: '1' });
  t.match(await outbox('retry', job.id), { code: 0, stdout: 'acct/1 is queued again.\n' });
  await until(isDead);
  t.match(await outbox('retry', '--all'), { code: 0, stdout: 'Dead letters queued again: 1.\n' });
  t.match(await outbox('list', '--state', 'done'), { code: 0, stdout: 'The outbox has no done jobs.\n' });
  t.match(await outbox('retry'), { code: 64, stderr: /^Use outbox list, outbox retry ID/ });
});

t.test('sandbox serves until it is stopped', async (t) => {
  const faults = '[{"kind":"limit","chance":0}]';
  const args = ['src/cli.ts', 'sandbox', '--port', '0', '--faults', faults, '--data-dir', t.testdir()];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const url = /listens on (http:\S+)\. /.exec(String(line))![1]!;
  t.equal((await fetch(url)).status, 200, 'its timeline');
  child.kill('SIGTERM');
  t.equal(await ended(child), 0);
});
