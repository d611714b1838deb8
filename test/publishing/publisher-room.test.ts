import t from 'tap';
import { until } from '../until.ts';
import { MemoryCrm } from './memory-crm.ts';
import { openPublishing, recordingOf } from './rig.ts';

t.test('a portal with many jobs leaves room for the other portals', async (t) => {
  const held = Promise.withResolvers<void>();
  const crm = new MemoryCrm((accountId) => (accountId === 'zeta' ? '2' : '1'));
  let waiting = 0;
  crm.before = async (operation, portal) => {
    if (operation !== 'logCall' || portal !== '1') return;
    waiting++;
    await held.promise;
  };
  const { catalog, publisher, dispatcher, close } = await openPublishing('sqlite::memory:', {
    crm,
    pollMs: 5,
  });
  t.teardown(() => close());
  t.teardown(() => held.resolve());
  const add = async (accountId: string, externalId: string) => {
    const { recording } = await catalog.put(recordingOf(externalId, { accountId }), { replace: false });
    await publisher.publish(recording);
    return recording;
  };
  // Thirty accounts with more jobs than a process runs at one time.
  for (let index = 0; index < 420; index++) await add(`acme-${index % 30}`, `call-${index}`);
  dispatcher.start();
  await until(() => waiting === 16);
  const other = await add('zeta', 'call-1');
  await until(async () => (await publisher.status(other))?.state === 'done');
  t.match(await publisher.status(other), { state: 'done' });
  t.equal(waiting, 16, 'the lane of the first portal is full');
});
