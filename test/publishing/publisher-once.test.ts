import t, { type Test } from 'tap';
import { CrmError } from '../../src/crm/crm.ts';
import { Limiter } from '../../src/hubspot/limiter.ts';
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts';
import { until } from '../until.ts';
import { MemoryCrm } from './memory-crm.ts';
import { type PublishingOptions, recordingOf } from './rig.ts';
import { openWithSandbox } from './sandboxed.ts';

const creates = 'POST /crm/objects/2026-03/calls';

/** One recording, published against a HubSpot whose search finds a call only after a second. */
async function publishOne(t: Test, options: Partial<PublishingOptions>, sandboxOptions: SandboxOptions = {}) {
  const { sandbox, catalog, publisher, dispatcher, db } = await openWithSandbox(
    t,
    'sqlite::memory:',
    { deadlineMs: 20_000, searchDelayMs: 8_000, pollMs: 5, ...options },
    { searchLagMs: 1_000, ...sandboxOptions },
  );
  const { recording } = await catalog.put(recordingOf('call-1'), { replace: false });
  await publisher.publish(recording);
  dispatcher.start();
  const status = async () => (await publisher.status(recording))!;
  return {
    sandbox,
    /** Resolves when every request has its response. */
    stop: () => dispatcher.stop(),
    /** Makes the rows look as if the clock had been set forward by more than any lease. */
    async putClockForward() {
      await db.kysely.updateTable('outbox').set({ lease_until: 1, due_at: 1 }).execute();
      await db.kysely
        .updateTable('publication_steps')
        .set({ started_at: 1 })
        .where('state', '=', 'running')
        .execute();
    },
    /** Waits for such a status, and returns it. */
    become(holds: (now: Awaited<ReturnType<typeof status>>) => boolean) {
      return until(async () => {
        const now = await status();
        return holds(now) && now;
      });
    },
  };
}

t.test('a job whose lease expires while it waits for the rate limit is sent once', async (t) => {
  const limits = { requests: new Limiter(1, 0), searches: new Limiter(5, 1) };
  const held = Promise.withResolvers<void>();
  void limits.requests.run(() => held.promise);
  const { sandbox, become, putClockForward, stop } = await publishOne(t, {
    limits: () => limits,
    outbox: { leaseMs: 200, firstDelayMs: 5 },
  });
  await become(({ attempts }) => attempts >= 1);
  await putClockForward();
  await become(({ attempts }) => attempts >= 2);
  held.resolve();
  t.match(await become(({ state }) => state !== 'waiting'), { state: 'done' });
  await stop();
  t.equal(sandbox.world.calls.size, 1);
});

t.test('a clock set forward while HubSpot logs the call does not make it log the call twice', async (t) => {
  let searches = 0;
  // HubSpot logs the call but sends no response, and its search finds the call only after three seconds.
  const { sandbox, become, putClockForward, stop } = await publishOne(
    t,
    { outbox: { firstDelayMs: 5 }, deadlineMs: 5_000 },
    {
      searchLagMs: 3_000,
      faults: [{ kind: 'silence', when: 'after', on: creates, times: 1 }],
      observe({ path }) {
        if (path.endsWith('/search')) searches++;
      },
    },
  );
  await become(({ steps }) => steps[0]?.state === 'running');
  await putClockForward();
  await become(() => searches > 0);
  t.match(await become(({ state }) => state !== 'waiting'), { state: 'done' });
  await stop();
  t.equal(sandbox.world.calls.size, 1);
});

t.test('a rate limit after an attempt of unknown outcome leaves that outcome unknown', async (t) => {
  const crm = new MemoryCrm();
  // The first attempt logs the call and gets no response. The search finds it only after the second was limited.
  crm.after = async (operation) => {
    if (operation !== 'logCall') return;
    crm.unindexed.add(crm.calls.at(-1)!.id);
    throw new CrmError('No response.', { retriable: true, outcomeUnknown: true });
  };
  crm.before = async (operation) => {
    if (operation !== 'logCall' || crm.calls.length === 0) return;
    crm.unindexed.clear();
    throw new CrmError('Rate limit.', { retriable: true, outcomeUnknown: false });
  };
  const { become } = await publishOne(t, { crm, outbox: { firstDelayMs: 5 }, searchDelayMs: 0 });
  t.match(await become(({ state }) => state !== 'waiting'), { state: 'done', callId: '1' });
  t.equal(crm.calls.length, 1, 'the call is logged once');
  t.equal(crm.operations.filter((operation) => operation === 'logCall').length, 2);
});
