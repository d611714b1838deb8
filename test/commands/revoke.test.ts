import t from 'tap';
import { spawnGateway, startGateway } from '../gateway.ts';
import { ended } from '../processes.ts';
import { until } from '../until.ts';
import { playhead } from './playhead.ts';

t.test('revoke denies one URL, those of a recording or those of an account, and no other', async (t) => {
  const gateway = await startGateway(t);
  const recordings = [
    { accountId: 'a', externalId: '1' },
    { accountId: 'a', externalId: '1' },
    { accountId: 'a', externalId: '2' },
    { accountId: 'b', externalId: '1' },
  ];
  const urls = await Promise.all(
    recordings.map((recording) => gateway.streamOf('inbound-caller1.wav', recording)),
  );
  const statusOf = async (url: string) => (await fetch(url, { method: 'HEAD' })).status;
  const statuses = () => Promise.all(urls.map(statusOf));
  // Each step revokes one URL more. Only that one is polled, because too many denied requests end in 429.
  const steps: [args: string[], expected: number[]][] = [
    [[urls[0]!], [401, 200, 200, 200]],
    [
      ['--account', 'a', '--id', '1'],
      [401, 401, 200, 200],
    ],
    [
      ['--account', 'a'],
      [401, 401, 401, 200],
    ],
  ];
  t.same(await statuses(), [200, 200, 200, 200]);
  for (const [index, [args, expected]] of steps.entries()) {
    const { databaseUrl } = gateway.config;
    const revoked = await playhead(gateway.dataDir, 'revoke', ...args, '--database-url', databaseUrl);
    t.equal(revoked.code, 0, revoked.stderr);
    await until(async () => (await statusOf(urls[index]!)) === 401);
    t.same(await statuses(), expected, args.join(' '));
  }
});

t.test('what a command with a shorter TTL revokes stays revoked', async (t) => {
  const settings = { 'token-ttl': '7d', 'log-level': 'silent' };
  const first = await spawnGateway(t, settings);
  const urls: Record<string, string> = {};
  for (const externalId of ['one URL', 'a recording', 'kept'])
    urls[externalId] = new URL(await first.streamOf('inbound-caller1.wav', { externalId })).pathname;
  const revoke = async (...args: string[]) => {
    // As a command with the default TTL does hours later.
    const { code, stderr } = await playhead(first.dataDir, 'revoke', ...args, '--token-ttl', '1ms');
    t.equal(code, 0, stderr);
  };
  await revoke(first.url + urls['one URL']);
  await revoke('--account', 'acct', '--id', 'a recording');
  await first.streamOf('inbound-caller1.wav', { externalId: 'pruned' });
  await revoke('--account', 'acct', '--id', 'pruned'); // removes the revocations that have expired

  first.child.kill('SIGTERM');
  t.equal(await ended(first.child), 0);
  const second = await spawnGateway(t, { ...settings, 'data-dir': first.dataDir });
  const statuses = await Promise.all(
    Object.entries(urls).map(async ([name, path]) => [name, (await fetch(second.url + path)).status]),
  );
  t.same(Object.fromEntries(statuses), { 'one URL': 401, 'a recording': 401, kept: 200 });
});
