import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Limiter } from '../../src/hubspot/limiter.ts';
import { createSandbox } from '../../src/sandbox/sandbox.ts';
import type { Exchange } from '../../src/sandbox/traffic.ts';
import { eachEngine } from '../contracts/db.ts';
import { until } from '../until.ts';
import { openPublishing, recordingOf } from './rig.ts';
import { openWithSandbox } from './sandboxed.ts';

t.test(
  'two processes together keep within each portal’s limit, and both portals make progress',
  async (t) => {
    const window = { requests: 20, windowMs: 400 };
    const exchanges: Exchange[] = [];
    const accounts = ['a', 'b'].map((name, index) => ({
      portalId: index,
      appId: '101',
      accessToken: `token-${name}`,
    }));
    const sandbox = await createSandbox({
      accounts,
      limits: window,
      observe: (exchange) => exchanges.push(exchange),
    });
    t.teardown(() => sandbox.close());
    const databaseUrl = `sqlite:${t.testdir()}/playhead.db`;
    const limits = () => ({ requests: new Limiter(20, 400), searches: new Limiter(5, 1_000) });
    const options = { apiBase: sandbox.url, limits, leaseMs: 2_500, deadlineMs: 10_000 };
    const processes = [
      await openPublishing(databaseUrl, options),
      await openPublishing(databaseUrl, options),
    ] as const;
    t.teardown(() => Promise.all(processes.map(({ close }) => close())));
    for (const { dispatcher } of processes) dispatcher.start();
    for (let index = 0; index < 40; index++) {
      const { catalog, publisher } = processes[index % 2]!;
      const input = recordingOf(`call-${index}`, { accountId: index < 20 ? 'a' : 'b' });
      await publisher.publish((await catalog.put(input, { replace: false })).recording);
    }
    await until(async () => (await processes[0].outbox.list({ state: 'waiting', limit: 1 })).length === 0);
    t.equal([...sandbox.world.calls.values()].filter(({ ready }) => ready === 1).length, 40);
    t.equal(exchanges.length, 120);
    t.equal(exchanges.filter(({ status }) => status === 429).length, 0);
  },
);

eachEngine(t, 'publishing a recording again while its job runs logs no call twice', async (t, place) => {
  const limits = () => ({ requests: new Limiter(1_000, 100), searches: new Limiter(1_000, 100) });
  const { sandbox, catalog, publisher, dispatcher, outbox } = await openWithSandbox(
    t,
    place.url,
    { limits, deadlineMs: 10_000 },
    { limits: { requests: 10_000 } },
  );
  dispatcher.start();
  const work = Array.from({ length: 20 }, async (_, index) => {
    const { recording } = await catalog.put(recordingOf(`call-${index}`), { replace: false });
    for (let again = 0; again < 8; again++) {
      await Promise.all([publisher.publish(recording), publisher.publish(recording)]);
      await sleep(again * 5);
    }
  });
  await Promise.all(work);
  await until(async () => (await outbox.list({ state: 'waiting', limit: 1 })).length === 0);
  t.equal(sandbox.world.calls.size, 20);
  const jobs = await outbox.list();
  t.same(
    jobs.map(({ state, reason }) => [state, reason]),
    jobs.map(() => ['done', null]),
  );
});
