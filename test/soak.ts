/**
 * Two gateways of two workers each on one Postgres, Redis and store, behind nginx on loopback, with players,
 * whole reads and ingests, while in turn each part is killed, drained, restarted or cut off.
 *
 *   npm run soak -- [--seconds 300] [--scale 1]     scale 1: 200 players, 20 whole reads and 10 ingests a second
 *
 * Needs Debian's postgresql, redis-server and nginx. With PLAYHEAD_TEST_S3_ENDPOINT, and the credentials of that
 * server in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the store is S3: a full run puts 1 GB there, and takes
 * it away again. Prints what docs/operations.md keeps.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Audience, type Counts } from './soak/audience.ts';
import { type Gateway, type Site, startSite } from './soak/site.ts';

const number = (initial: string) => ({ type: 'string', default: initial }) as const;
const { values } = parseArgs({ options: { seconds: number('300'), scale: number('1') } });
const seconds = Number(values.seconds);
const scale = Number(values.scale);
if (!(seconds > 0 && scale > 0)) throw new Error('--seconds and --scale must be more than 0.');
const rates = { players: Math.ceil(200 * scale), wholes: 20 * scale, ingests: 10 * scale };

const say = (line: string) => console.log(line);
const failures: string[] = [];
const fail = (sentence: string) => void failures.push(sentence);

/** The default of PLAYHEAD_DRAIN_TIMEOUT. */
const drainMs = 30_000;

/** What is done to the site, in this order, at equal distances of the run. */
const events: [name: string, strike: (site: Site) => Promise<unknown>][] = [
  ['a gateway is killed', ({ gateways: [first] }) => restarted(first, 'SIGKILL')],
  ['the other one is drained', ({ gateways: [, second] }) => restarted(second, 'SIGTERM')],
  ['Postgres is restarted', ({ postgres }) => stopped(postgres)],
  ['Redis is restarted', ({ redis }) => stopped(redis)],
  ['S3 is reset', ({ resetStore }) => resetStore!(2_000)],
];

async function restarted(gateway: Gateway, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const code = await gateway.kill(signal);
  if (signal === 'SIGTERM' && code !== 0) fail(`${gateway.name} drained with exit code ${code}.`);
  await gateway.start();
}

async function stopped(server: { stop(): Promise<void>; start(): Promise<void> }): Promise<void> {
  await server.stop();
  await sleep(1_000);
  await server.start();
}

const leaving = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => leaving.abort());

const site = await startSite(process.env.PLAYHEAD_TEST_S3_ENDPOINT);
const sampling = setInterval(() => site.gateways.forEach(({ sample }) => void sample()), 2_000);
try {
  await run(site);
} catch (error) {
  fail(leaving.signal.aborted ? 'The run was ended early.' : String((error as Error).stack));
} finally {
  clearInterval(sampling);
  leaving.abort();
  await site.stop();
}
for (const sentence of failures) say(`FAILED: ${sentence}`);
say(failures.length === 0 ? 'The site survived.' : `${failures.length} failures.`);
process.exit(failures.length === 0 ? 0 : 1);

async function run(site: Site): Promise<void> {
  const audience = new Audience(site);
  for (let count = 0; count < 20; count++) await audience.ingest(`first-${count}`, false);
  const strikes = events.filter(([name]) => site.resetStore !== undefined || name !== 'S3 is reset');
  const pause = (seconds * 1_000) / (strikes.length + 1);
  const leave = new AbortController();
  const coming = audience.come(rates, AbortSignal.any([leave.signal, leaving.signal]));

  say('| | seeks | whole reads | MB | ingests | wrong bytes | put off | broken |');
  say('|---|---:|---:|---:|---:|---:|---:|---:|');
  await period('undisturbed', audience, pause);
  for (const [name, strike] of strikes) await period(name, audience, pause, () => strike(site));
  leave.abort();
  await coming;
  await judge(site, audience);
}

/** One event and what came of the requests meanwhile, as a line of a table. */
async function period(name: string, audience: Audience, ms: number, strike?: () => Promise<unknown>) {
  const before = { ...audience.counts };
  await Promise.all([strike?.(), sleep(ms, undefined, { signal: leaving.signal })]);
  const since = (key: keyof Counts) => audience.counts[key] - before[key];
  const [seeks, wholes, ingests] = [since('seeks'), since('wholes'), since('ingests')];
  const [wrong, putOff, broken] = [since('wrong'), since('putOff'), since('broken')];
  say(`| ${[name, seeks, wholes, megabytes(since('bytes')), ingests, wrong, putOff, broken].join(' | ')} |`);
  if (!/undisturbed|drained/.test(name)) return;
  // What had gone on for longer than the drain limit may be cut off.
  const early = audience.breaks.slice(before.broken).filter(({ ms }) => ms < drainMs);
  for (const { asked, why, ms } of early) fail(`While ${name}, ${asked} broke after ${ms} ms: ${why}.`);
}

/** What must hold when everyone has left. */
async function judge(site: Site, audience: Audience): Promise<void> {
  const { counts, acknowledged, refused } = audience;
  if (counts.wrong > 0) fail(`${counts.wrong} replies had wrong bytes.`);
  if (refused.length > 0) fail(`${refused.length} requests were refused, such as ${refused[0]}.`);
  say(`Offered ${audience.offered.ingests} recordings and asked for ${audience.offered.wholes} whole ones.`);

  const lost = await audience.lost();
  if (lost.length > 0)
    fail(`${lost.length} acknowledged recordings cannot be heard whole, such as ${lost[0]}.`);
  say(`Acknowledged ${acknowledged.size} recordings; ${lost.length} lost.`);

  const published = [...acknowledged].filter(([, { isPublished }]) => isPublished).map(([id]) => id);
  const unpublished = () => {
    const calls = [...site.hubspot.world.calls.values()].filter(({ ready }) => ready > 0);
    const there = new Set(calls.map(({ properties }) => properties.hs_call_title));
    return published.filter((id) => !there.has(id));
  };
  for (let tries = 0; tries < 120 && unpublished().length > 0; tries++) await sleep(1_000);
  const missing = unpublished().length;
  // Of every recording, whether or not its sender heard that it was taken.
  const titles = [...site.hubspot.world.calls.values()].map(({ properties }) => properties.hs_call_title);
  const doubled = titles.length - new Set(titles).size;
  if (missing > 0) fail(`${missing} publications were lost.`);
  if (doubled > 0) fail(`${doubled} calls were logged twice.`);
  say(`Published ${published.length}; ${missing} lost, ${doubled} doubled.`);

  for (const { name, samples } of site.gateways) {
    // Since its last start: a minute, or less where the run is short.
    const some = Math.min(30, Math.ceil(samples.length / 3));
    const [early, late] = [Math.max(...samples.slice(0, some)), Math.max(...samples.slice(-some))];
    if (late > early * 1.5)
      fail(`The memory of ${name} grew from ${megabytes(early)} to ${megabytes(late)} MB.`);
    say(
      `Memory of ${name}, both workers: at most ${megabytes(early)} MB in the first ${2 * some} s after its last start, ` +
        `${megabytes(late)} MB in the last ${2 * some} s.`,
    );
  }
}

function megabytes(bytes: number): number {
  return Math.round(bytes / 1e6);
}
