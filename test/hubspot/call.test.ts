import t from 'tap';
import { callProperties, warningsOf } from '../../src/hubspot/call.ts';

const recorded = {
  accountId: 'test-account-01',
  externalId: 'test-call-01',
  direction: 'inbound' as const,
  recordedAt: new Date('2025-08-22T12:40:00Z'),
};

t.test('a full call becomes the properties of HubSpot’s page, each a string', async (t) => {
  const call = {
    title: 'Support call',
    body: 'Resolved issue',
    from: '(857) 829 5489',
    to: '(509) 999 9999',
    startedAt: '2025-08-22T12:40:00Z',
    durationMs: 38_000,
    status: 'COMPLETED',
    disposition: 'f240bbac-87c9-4f6e-bf70-924b57d47db7',
    ownerId: '11526487',
  };
  t.same(callProperties({ ...recorded, call, audioSeconds: 38.2 }, '101'), {
    hs_timestamp: '1755866400000',
    hs_call_source: 'INTEGRATIONS_PLATFORM',
    hs_call_app_id: '101',
    hs_call_external_id: 'test-call-01',
    hs_call_external_account_id: 'test-account-01',
    hs_call_direction: 'INBOUND',
    hs_call_status: 'COMPLETED',
    hs_call_duration: '38000',
    hs_call_title: 'Support call',
    hs_call_body: 'Resolved issue',
    hs_call_from_number: '(857) 829 5489',
    hs_call_to_number: '(509) 999 9999',
    hs_call_disposition: 'f240bbac-87c9-4f6e-bf70-924b57d47db7',
    hubspot_owner_id: '11526487',
  });
});

t.test('an empty call takes time and length from the recording', async (t) => {
  t.same(callProperties({ ...recorded, direction: null, call: {}, audioSeconds: 61.4996 }, '101'), {
    hs_timestamp: '1755866400000',
    hs_call_source: 'INTEGRATIONS_PLATFORM',
    hs_call_app_id: '101',
    hs_call_external_id: 'test-call-01',
    hs_call_external_account_id: 'test-account-01',
    hs_call_status: 'COMPLETED',
    hs_call_duration: '61500',
  });
});

t.test('seconds in place of milliseconds are rejected', async (t) => {
  const attempt = (durationMs: number) => () =>
    callProperties({ ...recorded, call: { durationMs }, audioSeconds: 3000 }, '101');
  t.throws(attempt(3000), {
    message: /^call\.durationMs is 3000, but the audio lasts 3000\.0 s: give milliseconds\.$/,
  });
  t.doesNotThrow(attempt(3_000_000));
});

t.test('a start that is not a time is rejected', async (t) => {
  const attempt = () => callProperties({ ...recorded, call: { startedAt: 'noon' } }, '101');
  t.throws(attempt, { message: /^call\.startedAt / });
});

t.test('an app id that is not a number gets a warning', async (t) => {
  t.equal(warningsOf({ hs_call_app_id: 'app-101' }).length, 1);
  t.equal(warningsOf({ hs_call_app_id: '101' }).length, 0);
});
