/**
 * Runs two gateways of two workers each on one Postgres, one Redis and one store, behind nginx on loopback. Players,
 * whole reads and ingests load them while each part in turn is killed, drained, restarted or disconnected.
 *
 *   npm run soak -- [--seconds 300] [--scale 1]     scale 1: 200 players, 20 whole reads and 10 ingests a second
 *
 * Needs Debian's postgresql, redis-server and nginx. With PLAYHEAD_TEST_S3_ENDPOINT, and the credentials of that
 * server in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the store is S3. A full run stores 1 GB there and removes
 * it at the end. Prints the table in docs/operations.md.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Audience, type Counts } from './soak/audience.ts';
import type { Gateway } from './soak/gateway.ts';
import { type Site, startSite } from './soak/site.ts';

const number = (initial: string) => ({ type: 'string', default: initial }) as const;
const { values } = parseArgs({ options: { seconds: number('300'), scale: number('1') } });
const seconds = Number(values.seconds);
const scale = Number(values.scale);
if (!(seconds > 0 && scale > 0)) throw new Error('--seconds and --scale must be more than 0.');
const rates = { players: Math.ceil(200 * scale), wholes: 20 * scale, ingests: 10 * scale };

const failures: string[] = [];
const fail = (sentence: string) => void failures.push(sentence);

/** The default of PLAYHEAD_DRAIN_TIMEOUT. */
const drainMs = 30_000;

/** What happens to the site, in this order and at equal intervals. */
const events: [name: string, strike: (site: Site) => Promise<unknown>][] = [
  ['a gateway is killed', ({ gateways: [first] }) => restart(first, 'SIGKILL')],
  ['the other one is drained', ({ gateways: [, second] }) => restart(second, 'SIGTERM')],
  ['Postgres is restarted', ({ postgres }) => stopForASecond(postgres)],
  ['Redis is restarted', ({ redis }) => stopForASecond(redis)],
  ['S3 is reset', ({ store }) => store.reset!(2_000)],
];

async function restart(gateway: Gateway, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const code = await gateway.kill(signal);
  if (signal === 'SIGTERM' && code !== 0) fail(`${gateway.name} drained with exit code ${code}.`);
  await gateway.start();
}

async function stopForASecond(server: { stop(): Promise<void>; start(): Promise<void> }): Promise<void> {
  await server.stop();
  await sleep(1_000);
  await server.start();
}

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());

const site = await startSite(process.env.PLAYHEAD_TEST_S3_ENDPOINT);
const sampling = setInterval(() => site.gateways.forEach(({ sample }) => void sample()), 2_000);
try {
  await run(site);
} catch (error) {
  fail(interrupted.signal.aborted ? 'The run was interrupted.' : String((error as Error).stack));
} finally {
  clearInterval(sampling);
  interrupted.abort();
  await site.stop();
}
for (const sentence of failures) print(`FAILED: ${sentence}`);
print(failures.length === 0 ? 'The site survived.' : `${failures.length} failures.`);
process.exit(failures.length === 0 ? 0 : 1);

async function run(site: Site): Promise<void> {
  const audience = new Audience(site);
  for (let count = 0; count < 20; count++) await audience.ingest(`first-${count}`, false);
  const strikes = events.filter(([name]) => site.store.reset !== undefined || name !== 'S3 is reset');
  const pause = (seconds * 1_000) / (strikes.length + 1);
  const leave = new AbortController();
  const usage = audience.use(rates, AbortSignal.any([leave.signal, interrupted.signal]));

  print('| | seeks | whole reads | MB | ingests | wrong bytes | put off | broken |');
  print('|---|---:|---:|---:|---:|---:|---:|---:|');
  await period('undisturbed', audience, pause);
  for (const [name, strike] of strikes) await period(name, audience, pause, () => strike(site));
  leave.abort();
  await usage;
  await verify(site, audience);
}

/** One event, and the results of the requests meanwhile as a row of the table. */
async function period(name: string, audience: Audience, ms: number, strike?: () => Promise<unknown>) {
  const before = { ...audience.counts };
  await Promise.all([strike?.(), sleep(ms, undefined, { signal: interrupted.signal })]);
  const since = (key: keyof Counts) => audience.counts[key] - before[key];
  const [seeks, wholes, ingests] = [since('seeks'), since('wholes'), since('ingests')];
  const [wrong, putOff, broken] = [since('wrong'), since('putOff'), since('broken')];
  print(
    `| ${[name, seeks, wholes, megabytes(since('bytes')), ingests, wrong, putOff, broken].join(' | ')} |`,
  );
  if (!/undisturbed|drained/.test(name)) return;
  // A request longer than the drain limit may be cut off.
  const early = audience.breaks.slice(before.broken).filter(({ ms }) => ms < drainMs);
  for (const { request, why, ms } of early) fail(`While ${name}, ${request} broke after ${ms} ms: ${why}.`);
}

/** What must hold after the load. */
async function verify(site: Site, audience: Audience): Promise<void> {
  const { counts, acknowledged, rejected } = audience;
  if (counts.wrong > 0) fail(`${counts.wrong} responses had wrong bytes.`);
  if (rejected.length > 0) fail(`${rejected.length} requests were rejected, such as ${rejected[0]}.`);
  print(`Sent ${audience.offered.ingests} ingests and ${audience.offered.wholes} whole reads.`);

  const lost = await audience.lost();
  if (lost.length > 0)
    fail(`${lost.length} acknowledged recordings cannot be read whole, such as ${lost[0]}.`);
  print(`Acknowledged ${acknowledged.size} recordings; ${lost.length} lost.`);

  const published = [...acknowledged].filter(([, { isPublished }]) => isPublished).map(([id]) => id);
  const unpublished = () => {
    const calls = [...site.hubspot.world.calls.values()].filter(({ ready }) => ready > 0);
    const logged = new Set(calls.map(({ properties }) => properties.hs_call_title));
    return published.filter((id) => !logged.has(id));
  };
  for (let tries = 0; tries < 120 && unpublished().length > 0; tries++) await sleep(1_000);
  const missing = unpublished().length;
  // Of every recording, also of those whose ingest was not acknowledged.
  const titles = [...site.hubspot.world.calls.values()].map(({ properties }) => properties.hs_call_title);
  const doubled = titles.length - new Set(titles).size;
  if (missing > 0) fail(`${missing} publications were lost.`);
  if (doubled > 0) fail(`${doubled} calls were logged twice.`);
  print(`Published ${published.length}; ${missing} lost, ${doubled} logged twice.`);

  for (const { name, samples } of site.gateways) {
    // A minute, or less if the run is short.
    const count = Math.min(30, Math.ceil(samples.length / 3));
    const [early, late] = [Math.max(...samples.slice(0, count)), Math.max(...samples.slice(-count))];
    if (late > early * 1.5)
      fail(`The memory of ${name} grew from ${megabytes(early)} to ${megabytes(late)} MB.`);
    print(
      `Memory of ${name}, both workers: at most ${megabytes(early)} MB in the first ${2 * count} s after its last start, ` +
        `${megabytes(late)} MB in the last ${2 * count} s.`,
    );
  }
}

function print(line: string): void {
  console.log(line);
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
