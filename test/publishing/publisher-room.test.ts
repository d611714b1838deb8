import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { HubSpotClient } from '../../src/hubspot/client.ts';
import { openPublishing, recordingOf } from './rig.ts';

t.test('a HubSpot account that serves many accounts leaves room for the others', async (t) => {
  const held = Promise.withResolvers<void>();
  const clientOf = (portal: string, turn: Promise<void>) =>
    ({
      portal,
      appId: '101',
      async createCall(_properties: unknown, begin: () => Promise<void>) {
        await turn;
        await begin();
        return '1';
      },
      associate: async () => {},
      markReady: async () => {},
    }) as unknown as HubSpotClient;
  const [many, one] = [clientOf('1', held.promise), clientOf('2', Promise.resolve())];
  const { catalog, publisher, close } = await openPublishing('sqlite::memory:', {
    apiBase: '',
    publisher: { clientFor: async (accountId) => (accountId === 'zeta' ? one : many), pollMs: 5 },
  });
  t.teardown(() => close());
  t.teardown(() => held.resolve());
  const add = async (accountId: string, externalId: string) => {
    const { recording } = await catalog.put(recordingOf(externalId, { accountId }), { replace: false });
    await publisher.publish(recording);
    return recording;
  };
  // Thirty accounts with as much to do as the process has room for in all.
  for (let index = 0; index < 420; index++) await add(`acme-${index % 30}`, `call-${index}`);
  publisher.start();
  await sleep(300);
  const other = await add('zeta', 'call-1');
  for (let patience = 0; patience < 1_000; patience++) {
    if ((await publisher.status(other))?.state === 'done') break;
    await sleep(10);
  }
  t.match(await publisher.status(other), { state: 'done' });
});
