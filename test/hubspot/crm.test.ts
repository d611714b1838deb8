import t from 'tap';
import { HubSpotCrm } from '../../src/hubspot/crm.ts';
import { HubSpotError } from '../../src/hubspot/error.ts';
import { apiVersions } from '../../src/settings/hubspot-versions.ts';
import { crmContract } from '../contracts/crm.ts';
import { setUp } from './setup.ts';

for (const version of apiVersions) {
  t.test(`HubSpot behind the Crm port, version ${version}`, async (t) => {
    crmContract(t, async (t) => {
      const { sandbox, client } = await setUp(t);
      const crm = new HubSpotCrm(
        {
          async clientFor(accountId) {
            if (accountId !== 'nobody') return client(version);
            throw new HubSpotError('Account "nobody" is not connected.', { category: 'NOT_CONNECTED' });
          },
        },
        '101',
      );
      const [portalId] = sandbox.world.accounts.keys();
      return {
        crm,
        addCall: () => sandbox.world.addCall(portalId!, { hs_timestamp: '1755866400000' }).id,
        call(id) {
          const call = sandbox.world.calls.get(id);
          return call && { associations: call.associations.size, ready: call.ready };
        },
        calls: () => sandbox.world.calls.size,
      };
    });
  });
}

t.test('an app id that is not a number is a warning', async (t) => {
  const { client } = await setUp(t);
  const warningsOf = (appId: string) =>
    new HubSpotCrm({ clientFor: async () => client('v3') }, appId).warnings().length;
  t.same([warningsOf('101'), warningsOf('app-101')], [0, 1]);
});
