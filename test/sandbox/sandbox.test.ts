import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import type { Report } from '../../src/audio/report.ts';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { HubSpotError } from '../../src/hubspot/error.ts';
import { createSandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';

const audio = Buffer.from(Array.from({ length: 5000 }, (_, index) => index % 251));
const passing: Report = { verdict: 'pass', codes: [], audio: { size: 5000 }, evidence: [], repairs: {} };
const mono: Report = {
  ...passing,
  verdict: 'fail',
  codes: ['mono'],
  repairs: { mono: 'Record two channels.' },
};

/** What a phone system's gateway may do when HubSpot comes for a recording. */
interface GatewayOptions {
  status?: number;
  type?: string;
  ranges?: boolean;
  answer?: object;
}

async function gateway(test: Test, { status = 200, type, ranges = true, answer }: GatewayOptions = {}) {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    if (request.url!.startsWith('/recordings/')) {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? { authenticatedUrl: `${base()}/audio` }));
      return;
    }
    const range = ranges ? /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') : null;
    response.writeHead(range ? 206 : 200, { 'content-type': type ?? 'application/octet-stream' });
    response.end(range ? audio.subarray(Number(range[1]), Number(range[2]) + 1) : audio);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  test.teardown(() => server.close());
  const base = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { asked, template: `${base()}/recordings/%s/url` };
}

async function setUp(test: Test, options: SandboxOptions = {}) {
  const sandbox = await createSandbox({ check: async () => passing, ...options });
  test.teardown(() => sandbox.close());
  const hubspot = new HubSpotClient({
    portal: '4711',
    apiBase: sandbox.url,
    apiVersion: '2026-03',
    appId: '101',
    accessToken: async () => 'sandbox-token',
  });
  return { sandbox, hubspot };
}

const properties = {
  hs_timestamp: '1755866400000',
  hs_call_source: 'INTEGRATIONS_PLATFORM',
  hs_call_external_id: 'test call/01',
  hs_call_external_account_id: 'test-account-01',
  hs_call_app_id: '101',
};

async function publish(
  hubspot: HubSpotClient,
  template: string | undefined,
  more: Record<string, string> = {},
) {
  if (template) await hubspot.registerRecordingUrl(template);
  const id = await hubspot.createCall({ ...properties, ...more });
  await hubspot.associate(id, { objectType: 'contacts', objectId: '104901' });
  await hubspot.markReady(id);
  return id;
}

t.test('on ready the recording is asked for, fetched, sought and judged', async (t) => {
  const { asked, template } = await gateway(t);
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
  t.equal(asked[0]?.url, '/recordings/test%20call%2F01/url?appId=101&externalAccountId=test-account-01');
});

t.test('the query can be left out, and the request signed as HubSpot signs', async (t) => {
  const { asked, template } = await gateway(t);
  const { sandbox, hubspot } = await setUp(t, { retrieve: { query: false, clientSecret: 'secret' } });
  await publish(hubspot, template);
  await sandbox.pickups.idle();
  const { url, headers } = asked[0]!;
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
  { name: 'a gateway that does not know the id', gateway: { status: 404 }, reason: /returned 404/ },
  {
    name: 'an answer without authenticatedUrl',
    gateway: { answer: { url: 'x' } },
    reason: /no "authenticatedUrl"/,
  },
  { name: 'audio that is no octet-stream', gateway: { type: 'audio/wav' }, reason: /served as audio\/wav/ },
  {
    name: 'audio that fails the check',
    options: { check: async () => mono },
    reason: /^Record two channels\.$/,
  },
];

for (const { name, options, gateway: gatewayOptions, call, reason } of obstacles) {
  t.test(`${name} prevents the transcription, and the reason is said`, async (t) => {
    const { template } = await gateway(t, gatewayOptions);
    const { sandbox, hubspot } = await setUp(t, options);
    const id = await publish(hubspot, template, call);
    await sandbox.pickups.idle();
    const pickup = sandbox.world.calls.get(id)?.pickup;
    t.equal(pickup?.transcribed, false);
    t.equal(pickup?.reasons.length, 1);
    t.match(pickup?.reasons[0], reason);
  });
}

t.test('a call without hs_call_source, and an app without a URL, are told apart', async (t) => {
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

t.test('a gateway that ignores Range is seen, and no obstacle to transcription', async (t) => {
  const { template } = await gateway(t, { ranges: false });
  const { sandbox, hubspot } = await setUp(t);
  const id = await publish(hubspot, template);
  await sandbox.pickups.idle();
  const pickup = sandbox.world.calls.get(id)?.pickup;
  t.equal(pickup?.transcribed, true);
  t.match(pickup?.steps[2], { step: 'seek', ok: false, seen: '200 to bytes=2500-3523' });
});

t.test('search finds a call only after its lag', async (t) => {
  const { sandbox, hubspot } = await setUp(t, { searchLagMs: 3_600_000 });
  const id = await hubspot.createCall(properties);
  const find = () => hubspot.findCallByExternalId('test call/01', 'test-account-01');
  t.equal(await find(), undefined);
  sandbox.world.calls.get(id)!.createdAt = new Date(Date.now() - 3_600_000);
  t.equal((await find())?.id, id);
});

t.test('the limits are HubSpot’s: one request and one search too many are 429', async (t) => {
  const { hubspot } = await setUp(t, { limits: { requests: 4, searches: 2, windowMs: 60_000 } });
  const find = () =>
    hubspot.findCallByExternalId('a', 'b').then(String, (error: HubSpotError) => error.category);
  t.same(await Promise.all([find(), find(), find()]), ['undefined', 'undefined', 'SECONDLY']);
  const { sandbox: _, hubspot: other } = await setUp(t, { limits: { requests: 1, windowMs: 60_000 } });
  await other.createCall(properties);
  const error = await other.createCall(properties).catch((reason: unknown) => reason);
  t.ok(error instanceof HubSpotError);
  t.match(error, { status: 429, category: 'TEN_SECONDLY_ROLLING' });
});

for (const when of ['before', 'after'] as const) {
  for (const kind of ['error', 'reset', 'silence'] as const) {
    const effect = when === 'before' ? 'without' : 'with';
    t.test(`fault ${kind} ${when}: an unknown outcome ${effect} effect`, async (t) => {
      const { sandbox } = await setUp(t, { faults: [{ kind, when, on: 'POST ', times: 1 }] });
      const options = {
        portal: '1',
        apiBase: sandbox.url,
        apiVersion: 'v3',
        appId: '101',
        deadlineMs: 200,
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

t.test('the timeline shows each call with a player and why it is not transcribed', async (t) => {
  const { template } = await gateway(t);
  const { sandbox, hubspot } = await setUp(t, { check: async () => mono });
  await publish(hubspot, template, {
    hs_call_title: '<b>Ada & Co</b>',
    hs_call_direction: 'INBOUND',
    hs_call_from_number: '+353 1 555 0100',
    hs_call_duration: '63000',
  });
  await sandbox.pickups.idle();
  const response = await fetch(sandbox.timelineUrl(4711, 'contacts', '104901'));
  const page = await response.text();
  t.match(response.headers.get('content-security-policy'), /default-src 'none'/);
  for (const part of [
    '&#60;b&#62;Ada &#38; Co',
    'Inbound',
    '+353 1 555 0100',
    '1:03',
    '<audio',
    'Record two channels.',
  ]) {
    t.ok(page.includes(part), part);
  }
  t.notOk(page.includes('<b>'), 'nothing unescaped');
  t.match(await (await fetch(sandbox.url)).text(), /\/timeline\/4711\/contacts\/104901/);
  t.equal((await fetch(sandbox.timelineUrl(1, 'contacts', '1'))).status, 404);
});

t.test('faults are changed while it runs', async (t) => {
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
