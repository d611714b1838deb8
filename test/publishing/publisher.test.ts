import t, { type Test } from 'tap';
import type { Job } from '../../src/publishing/job.ts';
import type { Recording } from '../../src/recordings/recording.ts';
import type { Fault } from '../../src/sandbox/faults.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { until } from '../until.ts';
import { MemoryCrm } from './memory-crm.ts';
import { type PublishingOptions, recordingOf } from './rig.ts';
import { openWithSandbox } from './sandboxed.ts';

const account = { portalId: 1, appId: '101', accessToken: 'token-acme' };

async function setUp(test: Test, sandboxOptions: SandboxOptions = {}, more: Partial<PublishingOptions> = {}) {
  const { sandbox, catalog, publisher, dispatcher, outbox } = await openWithSandbox(
    test,
    'sqlite::memory:',
    { deadlineMs: 5_000, outbox: { firstDelayMs: 5 }, searchDelayMs: 1_500, pollMs: 5, ...more },
    { searchLagMs: 60, ...sandboxOptions },
  );
  async function add(...input: Parameters<typeof recordingOf>): Promise<Recording> {
    return (await catalog.put(recordingOf(...input), { replace: true })).recording;
  }
  /** Waits until the job is done or dead. @returns the publication */
  function ended(recording: Recording) {
    return until(async () => {
      const publication = (await publisher.status(recording))!;
      return publication.state !== 'waiting' && publication;
    });
  }
  dispatcher.start();
  return { sandbox, publisher, outbox, catalog, add, ended, calls: () => [...sandbox.world.calls.values()] };
}

t.test('a recording is logged, associated and marked ready, each once', async (t) => {
  const { sandbox, publisher, add, ended, calls } = await setUp(t);
  const recording = await add('call-1', {
    call: {
      title: 'Support call',
      durationMs: 60_000,
      associations: [
        { objectType: 'contacts', objectId: '104901', associationTypeId: 194 },
        { objectType: 'companies', objectId: '7' },
      ],
    },
  });
  const first = await publisher.publish(recording);
  t.match(first, { state: 'waiting', callId: null, warnings: [] });
  const publication = await ended(recording);
  t.match(publication, { state: 'done', reason: null, callId: '17591596434' });
  t.same(
    publication.steps.map(({ name, state, attempts }) => `${name}: ${state}, ${attempts}`),
    [
      'log: done, 1',
      'associate companies/7: done, 1',
      'associate contacts/104901/194: done, 1',
      'ready: done, 1',
    ],
  );
  await publisher.publish(recording);
  await ended(recording);
  t.equal(calls().length, 1);
  t.same([...calls()[0]!.associations.keys()].sort(), ['companies/7', 'contacts/104901']);
  t.match(calls()[0], { ready: 1, properties: { hs_call_external_id: 'call-1', hs_call_duration: '60000' } });
  t.equal(sandbox.faults.injected, 0);
});

const transient: { name: string; fault: Fault }[] = [
  { name: 'a limit', fault: { kind: 'limit', on: 'POST ' } },
  { name: 'an error before the effect', fault: { kind: 'error', on: 'POST ' } },
  { name: 'an error after the effect', fault: { kind: 'error', when: 'after', on: 'POST ' } },
  { name: 'a reset before the effect', fault: { kind: 'reset', on: 'POST ' } },
  { name: 'a reset after the effect', fault: { kind: 'reset', when: 'after', on: 'POST ' } },
  { name: 'silence before the effect', fault: { kind: 'silence', on: 'POST ' } },
  { name: 'silence after the effect', fault: { kind: 'silence', when: 'after', on: 'POST ' } },
];

for (const { name, fault } of transient) {
  t.test(`${name} while the call is logged: still one call`, async (t) => {
    const { sandbox, publisher, add, ended, calls } = await setUp(
      t,
      {
        // Longer than the first backoff: the first search finds nothing, although the call exists.
        searchLagMs: 200,
        // How long to wait after a 429.
        limits: { windowMs: 100 },
        faults: [{ ...fault, times: 1 }],
      },
      fault.kind === 'silence' ? { deadlineMs: 400 } : {},
    );
    const recording = await add('call-1');
    await publisher.publish(recording);
    t.match(await ended(recording), { state: 'done' });
    t.equal(sandbox.faults.injected, 1);
    t.equal(calls().length, 1);
    t.equal(calls()[0]?.ready, 1);
  });
}

const deadEnds: {
  name: string;
  input?: Parameters<typeof recordingOf>[1];
  sandbox?: SandboxOptions;
  before?: (setup: Awaited<ReturnType<typeof setUp>>) => void;
  says: RegExp;
  done: string[];
}[] = [
  {
    name: 'audio with an inconclusive verdict',
    input: { verdict: 'inconclusive' },
    says: /^Not marked ready, because the verdict on the audio is "inconclusive" \(mono\)\.$/,
    done: ['log', 'associate contacts/104901/194'],
  },
  {
    name: 'a token that was revoked',
    before: ({ sandbox }) => sandbox.world.tokens.clear(),
    says: /rejected the access token .* \(401 INVALID_AUTHENTICATION\): connect the account again/,
    done: [],
  },
  {
    name: 'an app that was uninstalled',
    before: ({ sandbox }) => sandbox.world.uninstalled.add(1),
    says: /connect the account again/,
    done: [],
  },
  {
    name: 'a scope that is missing',
    sandbox: { accounts: [{ ...account, scopes: ['crm.objects.contacts.read'] }] },
    says: /log the call \(403\): the app lacks crm\.objects\.contacts\.write/,
    done: [],
  },
  {
    name: 'a record that HubSpot does not have',
    input: { call: { associations: [{ objectType: 'contacts', objectId: 'nobody' }] } },
    says: /^HubSpot has no contacts nobody to associate the call with\.$/,
    done: ['log'],
  },
  {
    name: 'an owner that HubSpot rejects',
    sandbox: { numericAppId: true, accounts: [account] },
    input: { call: { ownerId: 'Ada' } },
    says: /hubspot_owner_id INVALID_INTEGER/,
    done: [],
  },
  {
    name: 'a named call that HubSpot does not have',
    input: { call: { id: '42' } },
    says: /^HubSpot has no call 42, which "call\.id" names\.$/,
    done: [],
  },
];

for (const { name, input, sandbox, before, says, done } of deadEnds) {
  t.test(`${name} is a dead letter with one clear sentence`, async (t) => {
    const setup = await setUp(t, sandbox);
    before?.(setup);
    const recording = await setup.add('call-1', input);
    await setup.publisher.publish(recording);
    const publication = await setup.ended(recording);
    t.equal(publication.state, 'dead');
    t.match(publication.reason, says);
    t.same(
      publication.steps.filter(({ state }) => state === 'done').map((step) => step.name),
      done,
    );
    t.equal(setup.calls().filter(({ ready }) => ready > 0).length, 0);
  });
}

t.test('an account that no installation serves is a dead letter', async (t) => {
  const { publisher, add, ended } = await setUp(t, {}, { crm: new MemoryCrm(() => undefined) });
  const recording = await add('call-1');
  await publisher.publish(recording);
  t.match(await ended(recording), { state: 'dead', reason: 'Account "acme" is not connected.' });
});

t.test('a dead letter that is retried continues where it stopped', async (t) => {
  const { sandbox, publisher, outbox, add, ended, calls } = await setUp(t);
  const recording = await add('call-1', { verdict: 'inconclusive' });
  await publisher.publish(recording);
  const { jobId } = await ended(recording);
  await add('call-1', { audio: 'two' });
  await outbox.retry(jobId);
  t.match(await ended(recording), { state: 'done' });
  t.equal(calls().length, 1);
  t.equal(calls()[0]?.ready, 1);
  t.equal(sandbox.world.calls.size, 1);
});

t.test('a wrong association is corrected by publishing again', async (t) => {
  const { publisher, add, ended, calls } = await setUp(t);
  const wrong = await add('call-1', {
    call: { associations: [{ objectType: 'contacts', objectId: 'nobody' }] },
  });
  await publisher.publish(wrong);
  t.match(await ended(wrong), { state: 'dead' });
  const right = await add('call-1', {
    audio: 'two',
    call: { associations: [{ objectType: 'contacts', objectId: '104901' }] },
  });
  await publisher.publish(right);
  const { state, steps } = await ended(right);
  t.equal(state, 'done');
  t.same(
    steps.map(({ name }) => name),
    ['log', 'associate contacts/104901', 'ready'],
  );
  t.equal(calls().length, 1);
});

t.test('a call deleted at HubSpot is not logged again', async (t) => {
  const { sandbox, publisher, add, ended } = await setUp(t);
  const recording = await add('call-1');
  await publisher.publish(recording);
  await ended(recording);
  sandbox.world.calls.clear();
  const replaced = await add('call-1', { audio: 'two' });
  await publisher.publish(replaced);
  t.match(await ended(replaced), {
    state: 'dead',
    reason: /^HubSpot no longer has call 17591596434: it was deleted, or the phone system's account/,
  });
  t.equal(sandbox.world.calls.size, 0);
});

t.test('a recording replaced after ready is marked ready again, and nothing else is repeated', async (t) => {
  const { publisher, add, ended, calls } = await setUp(t);
  const recording = await add('call-1');
  await publisher.publish(recording);
  await ended(recording);
  const replaced = await add('call-1', { audio: 'two' });
  await publisher.publish(replaced);
  const { steps } = await ended(replaced);
  t.same(
    steps.map(({ name, result }) => [name, result]),
    [
      ['log', '17591596434'],
      ['associate contacts/104901/194', null],
      ['ready', '"two"'],
    ],
  );
  t.equal(calls().length, 1);
  t.equal(calls()[0]?.ready, 2);
});

t.test('a recording that is removed before its turn is a dead letter', async (t) => {
  const { publisher, catalog, outbox, add, ended } = await setUp(t, {
    faults: [{ kind: 'latency', ms: 100 }],
  });
  const recording = await add('call-1');
  await publisher.publish(recording);
  await catalog.remove('acme', 'call-1');
  t.match(await ended(recording), { state: 'dead', reason: 'The recording was removed.' });
  t.equal((await outbox.list({ state: 'dead' })).length, 1);
});

t.test('a named call is completed, not logged again', async (t) => {
  const { sandbox, publisher, add, ended, calls } = await setUp(t);
  const call = sandbox.world.addCall(1, { hs_timestamp: '1755866400000', hs_call_title: 'Logged by hand' });
  const recording = await add('call-1', { call: { id: call.id } });
  await publisher.publish(recording);
  t.match(await ended(recording), { state: 'done', callId: call.id });
  t.equal(calls().length, 1);
  t.same(calls()[0]?.properties, {
    hs_timestamp: '1755866400000',
    hs_call_title: 'Logged by hand',
    hs_call_source: 'INTEGRATIONS_PLATFORM',
    hs_call_app_id: '101',
    hs_call_external_id: 'call-1',
    hs_call_external_account_id: 'acme',
  });
});

t.test('a named call of another recording is not touched', async (t) => {
  const { sandbox, publisher, add, ended } = await setUp(t);
  const cases: Record<string, Record<string, string>> = {
    'call-1': { hs_call_external_id: 'call-9' },
    'call-2': { hs_call_external_id: 'call-2', hs_call_external_account_id: 'other' },
  };
  for (const [externalId, properties] of Object.entries(cases)) {
    const call = sandbox.world.addCall(1, { ...properties });
    const recording = await add(externalId, { call: { id: call.id } });
    await publisher.publish(recording);
    t.match(await ended(recording), { state: 'dead', reason: /belongs to another recording/ });
    t.same(call.properties, properties);
  }
});

t.test('call data that HubSpot would reject is rejected at once', async (t) => {
  const { publisher, outbox, add } = await setUp(t);
  const attempt = async (call: object) => publisher.publish(await add(JSON.stringify(call), { call }));
  await t.rejects(attempt({ durationMs: 60 }), { code: 'invalid_request', message: /^call\.durationMs / });
  await t.rejects(attempt({ status: 'DONE' }), { code: 'invalid_request', message: /^hs_call_status / });
  t.same(await outbox.list(), [] as Job[]);
});
