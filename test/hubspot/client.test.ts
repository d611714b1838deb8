import t from 'tap';
import type { ApiVersion } from '../../src/settings/hubspot-versions.ts';
import { HubSpotSpecs, specsMissing } from '../contracts/hubspot-specs.ts';
import { example, failure, setUp } from './setup.ts';

const versions: ApiVersion[] = ['v3', '2026-03'];

const paths: Record<ApiVersion, string[]> = {
  v3: [
    'PATCH /crm/v3/extensions/calling/101/settings/recording 404',
    'POST /crm/v3/extensions/calling/101/settings/recording 200',
    'POST /crm/v3/objects/calls 201',
    'PUT /crm/v3/objects/calls/17591596434/associations/contacts/104901/194 200',
    'POST /crm/v3/extensions/calling/recordings/ready 204',
  ],
  '2026-03': [
    'PATCH /crm/extensions/calling/2026-03/101/settings/recording 404',
    'POST /crm/extensions/calling/2026-03/101/settings/recording 200',
    'POST /crm/objects/2026-03/calls 201',
    'PUT /crm/objects/2026-03/calls/17591596434/associations/contacts/104901 201',
    'POST /crm/extensions/calling/2026-03/recordings/ready 204',
  ],
};

for (const version of versions) {
  t.test(`${version}: the example of HubSpot’s page runs as written`, async (t) => {
    const { exchanges, client } = await setUp(t);
    const hubspot = client(version);
    const url = 'https://app-test.com/retrieve/authenticated/recordings/%s';
    t.equal(await hubspot.registerRecordingUrl(url), url);
    const id = await hubspot.createCall(example);
    t.equal(id, '17591596434');
    await hubspot.associate(id, { objectType: 'contacts', objectId: '104901', associationTypeId: 194 });
    await hubspot.markReady(id);
    t.same(
      exchanges.map(({ method, path, status }) => `${method} ${path} ${status}`),
      paths[version],
    );
    t.same(exchanges.at(-1)?.body, { engagementId: 17591596434 });
  });

  t.test(
    `${version}: requests and responses match HubSpot’s specifications`,
    { skip: specsMissing },
    async (t) => {
      const { exchanges, client } = await setUp(t);
      const hubspot = client(version);
      await hubspot.registerRecordingUrl('https://app-test.com/%s');
      await hubspot.registerRecordingUrl('https://app-test.com/again/%s');
      t.equal(await hubspot.readRecordingUrl(), 'https://app-test.com/again/%s');
      const id = await hubspot.createCall({ ...example, hs_call_app_id: '101', hs_call_duration: '38000' });
      await hubspot.updateCall(id, { hs_call_title: 'Support call' });
      t.equal((await hubspot.getCall(id, ['hs_call_title'])).properties.hs_call_title, 'Support call');
      t.equal((await hubspot.findCallByExternalId('test-call-01', 'test-account-01'))?.id, id);
      t.equal(await hubspot.findCallByExternalId('test-call-02', 'test-account-01'), undefined);
      for (const [objectType, associationTypeId] of [['contacts'], ['companies', 182], ['2-77']] as const) {
        await hubspot.associate(id, { objectType, objectId: '104901', associationTypeId });
      }
      await hubspot.markReady(id);
      const speaker = { id: '1', name: 'Caller' };
      const utterances = [{ speaker, text: 'Good morning.', startTimeMillis: 10, endTimeMillis: 900 }];
      const transcript = await hubspot.createTranscript(id, utterances);
      t.match(await hubspot.getTranscript(transcript), {
        engagementId: Number(id),
        transcriptSource: 'INTEGRATOR_GENERATED',
      });
      await hubspot.deleteTranscript(transcript);
      t.equal((await failure(hubspot.getCall('1', []))).status, 404);
      const specs = new HubSpotSpecs();
      t.equal(exchanges.length, 17);
      t.same(
        exchanges.flatMap((exchange) => specs.violations(exchange)),
        [],
      );
    },
  );
}

t.test('the specifications reject wrong requests', { skip: specsMissing }, async (t) => {
  const specs = new HubSpotSpecs();
  const exchange = {
    portalId: 1,
    path: '/crm/v3/extensions/calling/recordings/ready',
    method: 'POST',
    query: {},
    reply: undefined,
  };
  t.equal(specs.violations({ ...exchange, body: { engagementId: 1 }, status: 204 }).length, 0);
  t.equal(specs.violations({ ...exchange, body: { engagementId: '1' }, status: 204 }).length, 1);
  t.equal(specs.violations({ ...exchange, body: { engagementId: 1 }, status: 200 }).length, 1);
  t.equal(specs.violations({ ...exchange, path: '/crm/v3/nothing', body: {}, status: 204 }).length, 1);
});

t.test('the error names a field that HubSpot would reject, and nothing is sent', async (t) => {
  const { exchanges, client } = await setUp(t);
  const hubspot = client('v3');
  const call = (properties: Record<string, unknown>) => () =>
    hubspot.createCall({ ...example, ...properties } as Record<string, string>);
  const cases: [field: string, attempt: () => Promise<unknown>][] = [
    ['urlToRetrieveAuthedRecording', () => hubspot.registerRecordingUrl('https://app-test.com/recordings')],
    ['urlToRetrieveAuthedRecording', () => hubspot.registerRecordingUrl('http://app-test.com/%s')],
    ['The app id', () => client('v3', { appId: 'app-101' }).registerRecordingUrl('https://app-test.com/%s')],
    ['hs_call_source', call({ hs_call_source: 'OTHER' })],
    ['hs_call_external_id', call({ hs_call_external_id: '' })],
    ['hs_call_external_account_id', call({ hs_call_external_account_id: '' })],
    ['hs_call_app_id', call({ hs_call_app_id: '' })],
    ['hs_call_duration', call({ hs_call_duration: 38000 })],
    ['hs_call_duration', call({ hs_call_duration: '38.5' })],
    ['hs_call_duration', call({ hs_call_status: 'COMPLETED', hs_call_duration: '38' })],
    ['hs_timestamp', call({ hs_timestamp: '1755866400' })],
    ['hs_timestamp', call({ hs_timestamp: 'yesterday' })],
    ['hs_call_status', call({ hs_call_status: 'DONE' })],
    ['hs_call_direction', call({ hs_call_direction: 'inbound' })],
    ['The call id', () => hubspot.markReady('test-call-01')],
    ['The call id', () => hubspot.markReady('99999999999999999999')],
    ['transcriptCreateUtterances[0]', () => hubspot.createTranscript('1', [utterance(900, 10)])],
  ];
  for (const [field, attempt] of cases) {
    const error = await failure(attempt());
    t.match(error, { status: 0, category: 'INVALID_FIELD', retriable: false, outcomeUnknown: false });
    t.ok(error.message.startsWith(`${field} `), error.message);
  }
  t.equal(exchanges.length, 0);
});

function utterance(startTimeMillis: number, endTimeMillis: number) {
  return { speaker: { id: '1', name: 'Caller' }, text: 'Hello', startTimeMillis, endTimeMillis };
}

t.test('a stale token is replaced once', async (t) => {
  const { client, exchanges } = await setUp(t);
  const rejectedTokens: (string | undefined)[] = [];
  const hubspot = client('v3', {
    accessToken: async (rejected) => {
      rejectedTokens.push(rejected);
      return rejected ? 'sandbox-token' : 'stale';
    },
  });
  t.equal(await hubspot.createCall(example), '17591596434');
  t.same(rejectedTokens, [undefined, 'stale']);
  t.same(
    exchanges.map(({ status }) => status),
    [401, 201],
  );
});

t.test('the developer key registers without a bearer', async (t) => {
  const { client, exchanges } = await setUp(t, { developerKey: 'dev-key' });
  const hubspot = client('v3', {
    developerKey: 'dev-key',
    accessToken: async () => t.fail('a token was requested') as never,
  });
  await hubspot.registerRecordingUrl('https://app-test.com/%s');
  t.same(
    exchanges.map(({ query }) => query),
    [{ hapikey: 'dev-key' }, { hapikey: 'dev-key' }],
  );
});

t.test('a call whose external id differs only in case is another call', async (t) => {
  const { client } = await setUp(t);
  const hubspot = client('2026-03');
  const call = { ...example, hs_call_app_id: '101' };
  await hubspot.createCall({ ...call, hs_call_external_id: 'Test-Call-01' });
  t.equal(await hubspot.findCallByExternalId('test-call-01', 'test-account-01'), undefined);
  const id = await hubspot.createCall(call);
  t.equal((await hubspot.findCallByExternalId('test-call-01', 'test-account-01'))?.id, id);
});
