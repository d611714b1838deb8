import t from 'tap';
import { startGateway } from '../gateway.ts';
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
