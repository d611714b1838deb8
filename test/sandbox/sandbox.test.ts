import t from 'tap';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { HubSpotError } from '../../src/hubspot/error.ts';
import { properties, setUp } from './setup.ts';

t.test('search finds a call after the lag', async (t) => {
  const { sandbox, hubspot } = await setUp(t, { searchLagMs: 3_600_000 });
  const id = await hubspot.createCall(properties);
  const find = () => hubspot.findCallByExternalId('test call/01', 'test-account-01');
  t.equal(await find(), undefined);
  sandbox.world.calls.get(id)!.createdAt = new Date(Date.now() - 3_600_000);
  t.equal((await find())?.id, id);
});

t.test('one request or one search above HubSpot’s limits is 429', async (t) => {
  const { hubspot } = await setUp(t, { limits: { requests: 4, searches: 2, windowMs: 60_000 } });
  const find = () =>
    hubspot.findCallByExternalId('a', 'b').then(String, (error: HubSpotError) => error.category);
  t.same(await Promise.all([find(), find(), find()]), ['undefined', 'undefined', 'SECONDLY']);
  const { hubspot: other } = await setUp(t, { limits: { requests: 1, windowMs: 60_000 } });
  await other.createCall(properties);
  const error = await other.createCall(properties).catch((reason: unknown) => reason);
  t.ok(error instanceof HubSpotError);
  t.match(error, { status: 429, category: 'TEN_SECONDLY_ROLLING' });
});

for (const when of ['before', 'after'] as const) {
  for (const kind of ['error', 'reset', 'silence'] as const) {
    const effect = when === 'before' ? 'has no effect' : 'has its effect';
    t.test(`fault ${kind} ${when}: the outcome is unknown, and the request ${effect}`, async (t) => {
      const { sandbox } = await setUp(t, { faults: [{ kind, when, on: 'POST ', times: 1 }] });
      const options = {
        portal: '1',
        apiBase: sandbox.url,
        apiVersion: 'v3',
        appId: '101',
        deadlineMs: 1_000,
      } as const;
      const hubspot = new HubSpotClient({ ...options, accessToken: async () => 'sandbox-token' });
      const error = await hubspot.createCall(properties).catch((reason: unknown) => reason);
      t.match(error, { outcomeUnknown: true });
      t.equal(sandbox.world.calls.size, when === 'before' ? 0 : 1);
      await hubspot.createCall(properties);
      t.equal(sandbox.faults.injected, 1);
    });
  }
}

t.test('faults can be replaced while the sandbox runs', async (t) => {
  const { sandbox, hubspot } = await setUp(t);
  const put = (faults: unknown) =>
    fetch(`${sandbox.url}/sandbox/faults`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(faults),
    });
  t.equal((await put({ kind: 'limit' })).status, 400);
  t.equal((await put([{ kind: 'limit', on: 'POST /crm', times: 1 }])).status, 204);
  await t.rejects(hubspot.createCall(properties), { message: /429/ });
  t.equal(await hubspot.createCall(properties), '17591596434');
});
