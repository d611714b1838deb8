import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Recording } from '../../src/recordings/recording.ts';
import type { Fault } from '../../src/sandbox/faults.ts';
import { createSandbox } from '../../src/sandbox/sandbox.ts';
import type { Verdict } from '../../src/unions.ts';
import { seeded } from '../random.ts';
import { until } from '../until.ts';
import { openPublishing, recordingOf } from './rig.ts';

const recordings = 200;
const kills = 20;
const seed = 20260301;

t.setTimeout(150_000);

/** About one request in four has one of these faults. */
const faults: Fault[] = [
  { kind: 'limit', chance: 0.03 },
  { kind: 'error', chance: 0.03 },
  { kind: 'error', when: 'after', chance: 0.03 },
  { kind: 'reset', chance: 0.03 },
  { kind: 'reset', when: 'after', chance: 0.03 },
  { kind: 'silence', chance: 0.02 },
  { kind: 'silence', when: 'after', chance: 0.02 },
  { kind: 'latency', ms: 60, chance: 0.1 },
];

const targets = [
  { objectType: 'contacts', objectId: '104901', associationTypeId: 194 },
  { objectType: 'companies', objectId: '7', associationTypeId: 182 },
];

t.test(
  '200 recordings through faults and 20 kills: each call once, complete, ready if its audio passed',
  async (t) => {
    // A shorter window than HubSpot's, so that the test ends soon.
    const limits = { requests: 100_000, searches: 100_000, windowMs: 200 };
    const accounts = ['a', 'b'].map((name, index) => ({
      portalId: index + 1,
      appId: '101',
      accessToken: `token-${name}`,
    }));
    const sandbox = await createSandbox({ accounts, limits, searchLagMs: 500, faults, seed });
    t.teardown(() => sandbox.close());
    const databaseUrl = `sqlite:${t.testdir()}/playhead.db`;
    const { catalog, publisher, outbox, close } = await openPublishing(databaseUrl, { apiBase: sandbox.url });
    t.teardown(() => close());

    const added: Recording[] = [];
    async function publishSome(count: number): Promise<void> {
      for (const end = added.length + count; added.length < end; ) {
        const index = added.length;
        const verdict: Verdict = index % 5 === 0 ? 'inconclusive' : 'pass';
        const accountId = index % 2 ? 'a' : 'b';
        const input = recordingOf(`call-${index}`, { accountId, verdict, call: { associations: targets } });
        const { recording } = await catalog.put(input, { replace: false });
        await publisher.publish(recording);
        added.push(recording);
      }
    }

    let child = await startChild(databaseUrl, sandbox.url);
    t.teardown(() => child.kill('SIGKILL'));
    const random = seeded(seed);
    let interrupted = 0;
    for (let kill = 0; kill < kills; kill++) {
      await publishSome(recordings / kills);
      await sleep(random() * 600);
      if ((await outbox.list({ state: 'waiting', limit: 1 })).length > 0) interrupted++;
      child.kill('SIGKILL');
      await once(child, 'exit');
      child = await startChild(databaseUrl, sandbox.url);
    }
    await until(async () => (await outbox.list({ state: 'waiting', limit: 1 })).length === 0, 60_000);
    await sandbox.pickups.idle();

    const calls = [...sandbox.world.calls.values()];
    t.equal(calls.length, recordings, 'as many calls as recordings');
    t.equal(
      new Set(calls.map(({ properties }) => properties.hs_call_external_id)).size,
      recordings,
      'no call twice',
    );
    t.equal(
      calls.filter(({ associations }) => associations.size === targets.length).length,
      recordings,
      'each with all associations',
    );
    const wrong = added.filter(({ externalId, verdict }) => {
      const call = calls.find(({ properties }) => properties.hs_call_external_id === externalId);
      return (call?.ready ?? 0) > 0 !== (verdict === 'pass');
    });
    t.same(
      wrong.map(({ externalId }) => externalId),
      [],
      'ready exactly if the audio passed',
    );
    const jobs = await outbox.list({ limit: 1_000 });
    t.equal(jobs.filter(({ state }) => state === 'done').length, recordings * 0.8, 'done');
    t.equal(
      jobs.filter(({ reason }) => reason?.startsWith('Not marked ready')).length,
      recordings * 0.2,
      'the others are dead letters with the reason',
    );
    t.ok(interrupted > kills / 2, `${interrupted} kills hit running publications`);
    t.ok(sandbox.faults.injected > 150, `${sandbox.faults.injected} faults were injected`);
  },
);

async function startChild(...args: string[]): Promise<ChildProcess> {
  const script = fileURLToPath(new URL('publisher-child.ts', import.meta.url));
  const child = spawn(process.execPath, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}
