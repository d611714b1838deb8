import t from 'tap';
import { startGateway } from '../gateway.ts';
import { playhead } from './playhead.ts';

const file = 'inbound-caller1.flac';

async function start(t: Parameters<typeof startGateway>[0]) {
  const gateway = await startGateway(t);
  const run = (...args: string[]) =>
    playhead(gateway.dataDir, ...args, '--database-url', gateway.config.databaseUrl);
  const ids = async () => {
    const { recordings } = (await (await gateway.v1('/recordings')).json()) as {
      recordings: { externalId: string }[];
    };
    return recordings.map(({ externalId }) => externalId).sort();
  };
  return { gateway, run, ids };
}

t.test('hold places, lists and releases holds', async (t) => {
  const { gateway, run, ids } = await start(t);
  await gateway.ingest(file, { externalId: 'a' });
  const set = await run('hold', 'set', '--account', 'acct', '--id', 'a', '--reason', 'Case 12');
  t.match(set, { code: 0, stdout: /acct\/a .*Case 12/ }, set.stderr);
  t.match(await run('hold', 'set', '--account', 'acct', '--reason', 'Audit'), { code: 0 });
  t.match(await run('hold', 'list'), { code: 0, stdout: /account acct .*Audit\nacct\/a .*Case 12/ });
  t.match(await run('erase', '--account', 'acct', '--id', 'a'), { code: 1, stderr: /Case 12.*hold release/ });
  t.same(await ids(), ['a']);
  t.match(await run('hold', 'release', '--account', 'acct', '--id', 'a'), { code: 0 });
  t.match(await run('hold', 'release', '--account', 'acct', '--id', 'a'), {
    code: 1,
    stderr: /no such hold/,
  });
  t.match(await run('hold', 'set', '--account', 'acct'), { code: 64, stderr: /--reason is missing/ });
});

t.test('retention lists, sets and clears rules', async (t) => {
  const { run } = await start(t);
  t.match(await run('retention', 'set', '90d', '--account', 'acct'), { code: 0, stdout: /for 90d/ });
  t.match(await run('retention', 'set', '0', '--account', 'other'), { code: 0, stdout: /for ever/ });
  t.same(JSON.parse((await run('retention', 'list', '--json', '--retention', '30d')).stdout), {
    default: '30d',
    accounts: [
      { accountId: 'acct', retention: '90d' },
      { accountId: 'other', retention: '0' },
    ],
  });
  t.match(await run('retention', 'clear', '--account', 'acct'), { code: 0, stdout: /as the setting says/ });
  t.match(await run('retention', 'set', '12m', '--account', 'acct'), {
    code: 64,
    stderr: /from 1d to 36500d/,
  });
  t.match(await run('retention', '--retention', '12m'), { code: 64, stderr: /--retention must be 0/ });
});

t.test('erase finds every recording of a person', async (t) => {
  const { gateway, run, ids } = await start(t);
  await gateway.ingest(file, { externalId: 'a', call: { from: '+49 30 1234' } });
  await gateway.ingest(file, { externalId: 'b', call: { to: '0049301234' } });
  await gateway.ingest(file, { externalId: 'held', call: { to: '0049301234' } });
  await gateway.ingest(file, { externalId: 'other', call: { to: '+4930123' } });
  await gateway.parts.holds.place({ accountId: 'acct', externalId: 'held' }, 'r');
  const person = ['--number', '+49 (0)30 1234'];
  const dry = await run('erase', ...person, '--dry-run');
  t.match(
    dry,
    { code: 1, stdout: /acct\/held .*stays\n2 recordings would be erased, 1 are under/ },
    dry.stderr,
  );
  t.match(await run('erase', ...person), { code: 64, stderr: /--dry-run .*--yes/ }, 'nobody is there to ask');
  t.same(await ids(), ['a', 'b', 'held', 'other']);
  const erased = await run('erase', ...person, '--yes', '--json');
  t.equal(erased.code, 1, 'something of the person is left');
  const { recordings, held } = JSON.parse(erased.stdout) as Record<string, { externalId: string }[]>;
  t.same(recordings!.map(({ externalId }) => externalId).sort(), ['a', 'b']);
  t.same(
    held!.map(({ externalId }) => externalId),
    ['held'],
  );
  t.same(await ids(), ['held', 'other']);
  await gateway.parts.holds.release({ accountId: 'acct', externalId: 'held' });
  t.match(await run('erase', ...person, '--yes'), { code: 0, stdout: /1 recordings were erased, 0 are/ });
  t.match(await run('erase', '--contact', '7', '--yes'), { code: 64, stderr: /contact id and the account/ });
  t.match(await run('erase', '--account', 'acct'), { code: 64, stderr: /--id is missing/ });
});
