import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSandbox } from '../src/sandbox/sandbox.ts';
import { openPublishing, recordingOf } from '../test/publishing/rig.ts';
import { machine } from './rig/machine.ts';
import { save, table } from './rig/report.ts';

/** 300 publications of three requests each. They are uneven, so that an account that waits for another is visible. */
const publications = { small: 40, middle: 100, large: 160 };
const requestsEach = 3;
const limit = 110;
const windowSeconds = 10;
/** HubSpot's responses take about this long. */
const latencyMs = 100;

/** Publishing within HubSpot's limits: the share of the allowed rate that is used, and whether it is exceeded. */
export async function run(): Promise<void> {
  const names = Object.keys(publications);
  const accounts = names.map((name, index) => ({
    portalId: index + 1,
    appId: '101',
    accessToken: `token-${name}`,
  }));
  const exchanges: { portalId: number | undefined; status: number; at: number }[] = [];
  const sandbox = await createSandbox({
    accounts,
    faults: [{ kind: 'latency', ms: latencyMs }],
    observe: ({ portalId, status }) => exchanges.push({ portalId, status, at: performance.now() }),
  });
  const folder = await mkdtemp(join(tmpdir(), 'playhead-bench-'));
  const options = { apiBase: sandbox.url, deadlineMs: 10_000 };
  const { catalog, publisher, dispatcher, close } = await openPublishing(
    `sqlite:${join(folder, 'playhead.db')}`,
    options,
  );
  for (const [accountId, count] of Object.entries(publications)) {
    for (let index = 0; index < count; index++) {
      const { recording } = await catalog.put(recordingOf(`call-${index}`, { accountId }), {
        replace: false,
      });
      await publisher.publish(recording);
    }
  }

  const all = Object.values(publications).reduce((sum, count) => sum + count * requestsEach, 0);
  const startedAt = performance.now();
  dispatcher.start();
  while (exchanges.length < all && performance.now() - startedAt < 120_000) await sleep(50);
  await close();
  await sandbox.close();
  await rm(folder, { recursive: true, force: true });

  const limited = exchanges.filter(({ status }) => status === 429).length;
  const figures = Object.entries(publications).map(([account, count], index) => {
    const times = exchanges
      .filter(({ portalId }) => portalId === index + 1)
      .map(({ at }) => (at - startedAt) / 1000);
    // The limit allows the first request of each window at its beginning. How late was that of the last window?
    const windows = Math.floor((count * requestsEach - 1) / limit);
    const least = windows * windowSeconds;
    const seconds = times[windows * limit] ?? Number.NaN;
    return {
      account,
      publications: count,
      requests: times.length,
      least,
      seconds,
      used: least / seconds,
      limited,
    };
  });
  save('publish', {
    title: '300 publications within HubSpot’s limits',
    machine: machine(),
    figures,
    text: [
      `Three accounts, each with HubSpot's limit of ${limit} requests in ${windowSeconds} s, responses after ${latencyMs} ms. The limit
allows the first request of the last window after the least time. The aim is to use at least 90 % of the allowed
rate. Responses of 429: ${limited}.`,
      table(
        ['account', 'publications', 'requests', 'least s', 'took s', 'used %'],
        figures.map((figure) => [
          figure.account,
          String(figure.publications),
          String(figure.requests),
          figure.least.toFixed(1),
          figure.seconds.toFixed(1),
          String(Math.round(figure.used * 100)),
        ]),
      ),
    ],
  });
}
