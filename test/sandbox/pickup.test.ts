import { createHmac } from 'node:crypto';
import t from 'tap';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { audio, type GatewayOptions, mono, passing, publish, setUp, startGateway } from './setup.ts';

t.test('a recording marked ready is retrieved, downloaded, sought in and checked', async (t) => {
  const { requests, template } = await startGateway(t);
  const { sandbox, hubspot } = await setUp(t, {
    check: async (bytes) => (audio.equals(bytes) ? passing : mono),
  });
  const id = await publish(hubspot, template);
  await sandbox.pickups.idle();
  t.match(sandbox.world.calls.get(id)?.pickup, {
    transcribed: true,
    reasons: [],
    steps: [
      { step: 'retrieve', ok: true },
      { step: 'download', ok: true, seen: '200, 5000 bytes, application/octet-stream' },
      { step: 'seek', ok: true, seen: '206 to bytes=2500-3523' },
      { step: 'check', ok: true },
    ],
  });
  t.equal(requests[0]?.url, '/recordings/test%20call%2F01/url?appId=101&externalAccountId=test-account-01');
});

t.test('the query can be left out, and the request is signed as HubSpot signs', async (t) => {
  const { requests, template } = await startGateway(t);
  const { sandbox, hubspot } = await setUp(t, { retrieve: { query: false, clientSecret: 'secret' } });
  await publish(hubspot, template);
  await sandbox.pickups.idle();
  const { url, headers } = requests[0]!;
  t.equal(url, '/recordings/test%20call%2F01/url');
  const signed = `GET${template.replace('%s', 'test%20call%2F01')}${headers['x-hubspot-request-timestamp']}`;
  t.equal(headers['x-hubspot-signature-v3'], createHmac('sha256', 'secret').update(signed).digest('base64'));
});

const account = { portalId: 1, appId: '101', accessToken: 'sandbox-token' };
const obstacles: {
  name: string;
  options?: SandboxOptions;
  gateway?: GatewayOptions;
  call?: Record<string, string>;
  reason: RegExp;
}[] = [
  {
    name: 'an owner without a seat',
    options: { accounts: [{ ...account, ownersWithoutSeat: ['7'] }] },
    call: { hubspot_owner_id: '7' },
    reason: /Owner 7 has no paid/,
  },
  {
    name: 'transcription switched off',
    options: { accounts: [{ ...account, transcription: false }] },
    reason: /switched off/,
  },
  { name: 'an id unknown to the gateway', gateway: { status: 404 }, reason: /returned 404/ },
  {
    name: 'a response without authenticatedUrl',
    gateway: { body: { url: 'x' } },
    reason: /no "authenticatedUrl"/,
  },
  { name: 'audio not an octet-stream', gateway: { type: 'audio/wav' }, reason: /served as audio\/wav/ },
  {
    name: 'audio that fails the check',
    options: { check: async () => mono },
    reason: /^Record two channels\.$/,
  },
];

for (const { name, options, gateway, call, reason } of obstacles) {
  t.test(`not transcribed, with the reason: ${name}`, async (t) => {
    const { template } = await startGateway(t, gateway);
    const { sandbox, hubspot } = await setUp(t, options);
    const id = await publish(hubspot, template, call);
    await sandbox.pickups.idle();
    const pickup = sandbox.world.calls.get(id)?.pickup;
    t.equal(pickup?.transcribed, false);
    t.equal(pickup?.reasons.length, 1);
    t.match(pickup?.reasons[0], reason);
  });
}

t.test('a call without hs_call_source and an app without a URL have a reason each', async (t) => {
  const { sandbox, hubspot } = await setUp(t);
  const id = await publish(hubspot, undefined);
  await hubspot.updateCall(id, { hs_call_source: 'ELSEWHERE' });
  await hubspot.markReady(id);
  await sandbox.pickups.idle();
  t.match(sandbox.world.calls.get(id)?.pickup?.reasons, [
    /hs_call_source/,
    /No URL for recordings is registered/,
  ]);
});

t.test('a gateway that ignores Range fails the seek and is transcribed', async (t) => {
  const { template } = await startGateway(t, { ranges: false });
  const { sandbox, hubspot } = await setUp(t);
  const id = await publish(hubspot, template);
  await sandbox.pickups.idle();
  const pickup = sandbox.world.calls.get(id)?.pickup;
  t.equal(pickup?.transcribed, true);
  t.match(pickup?.steps[2], { step: 'seek', ok: false, seen: '200 to bytes=2500-3523' });
});
