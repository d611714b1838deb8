/**
 * Two gateways of two workers each on one Postgres, Redis and store, behind nginx on loopback, with players,
 * whole reads and ingests, while in turn each part is killed, drained, restarted or cut off.
 *
 *   npm run soak -- [--seconds 300] [--scale 1]     scale 1: 200 players, 20 whole reads and 10 ingests a second
 *
 * Needs Debian's postgresql, redis-server and nginx. With PLAYHEAD_TEST_S3_ENDPOINT the store is S3.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Audience, audioOf, type Counts } from './soak/audience.ts';
import { type Gateway, type Site, startSite } from './soak/site.ts';

const number = (initial: string) => ({ type: 'string', default: initial }) as const;
const { values } = parseArgs({ options: { seconds: number('300'), scale: number('1') } });
const seconds = Number(values.seconds);
const scale = Number(values.scale);
const rates = { players: 200 * scale, wholes: 20 * scale, ingests: 10 * scale };

const megabytes = (bytes: number) => Math.round(bytes / 1e6);
const say = (line: string) => console.log(line);

/** What is done to the site, in this order, at equal distances of the run. */
const events: [name: string, strike: (site: Site) => Promise<unknown>][] = [
  ['a gateway is killed', ({ gateways: [first] }) => restarted(first, 'SIGKILL')],
  ['the other one is drained', ({ gateways: [, second] }) => restarted(second, 'SIGTERM')],
  [
    'Postgres is restarted',
    ({ postgres }) =>
      postgres
        .stop()
        .then(() => sleep(1_000))
        .then(postgres.start),
  ],
  [
    'Redis is restarted',
    ({ redis }) =>
      redis
        .stop()
        .then(() => sleep(1_000))
        .then(redis.start),
  ],
  ['S3 is reset', ({ resetStore }) => resetStore?.(2_000) ?? Promise.resolve()],
];

async function restarted(gateway: Gateway, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const code = await gateway.kill(signal);
  if (signal === 'SIGTERM' && code !== 0) fail(`${gateway.name} drained with exit code ${code}.`);
  await gateway.start();
}

const failures: string[] = [];
function fail(sentence: string): void {
  failures.push(sentence);
}

const site = await startSite(process.env.PLAYHEAD_TEST_S3_ENDPOINT);
try {
  const audience = new Audience(site);
  for (let count = 0; count < 20; count++) await audience.ingest(`first-${count}`, false);
  const leaving = new AbortController();
  const memory: number[] = [];
  const sampling = setInterval(async () => memory.push(await memoryOf(site)), 2_000);
  const coming = audience.come(rates, leaving.signal);

  const pause = (seconds * 1_000) / (events.length + 1);
  say(`| ${['', ...Object.keys(audience.counts), 'seconds'].join(' | ')} |`);
  await period('undisturbed', audience, () => sleep(pause));
  for (const [name, strike] of events) {
    await period(name, audience, async () => {
      await Promise.all([strike(site), sleep(pause)]);
    });
  }
  leaving.abort();
  await coming;
  clearInterval(sampling);
  await judge(site, audience, memory);
} finally {
  await site.stop();
}
for (const sentence of failures) say(`FAILED: ${sentence}`);
say(failures.length === 0 ? 'The site survived.' : `${failures.length} failures.`);
process.exitCode = failures.length === 0 ? 0 : 1;

/** One event and what came of the requests meanwhile, as a line of a table. */
async function period(name: string, audience: Audience, run: () => Promise<unknown>): Promise<void> {
  const before = { ...audience.counts };
  const began = performance.now();
  await run();
  const counted = Object.entries(audience.counts).map(([key, value]) => value - before[key as keyof Counts]);
  const took = ((performance.now() - began) / 1000).toFixed(0);
  say(`| ${[name, ...counted, took].join(' | ')} |`);
  const broken = audience.counts.broken - before.broken;
  if (broken > 0 && /undisturbed|drained/.test(name)) fail(`${broken} replies broke while ${name}.`);
}

async function memoryOf({ gateways }: Site): Promise<number> {
  const sizes = await Promise.all(gateways.map((gateway) => gateway.memory()));
  return Math.max(...sizes);
}

/** What must hold when everyone has left. */
async function judge(site: Site, audience: Audience, memory: number[]): Promise<void> {
  if (audience.counts.wrong > 0) fail(`${audience.counts.wrong} replies had wrong bytes.`);

  let lost = 0;
  for (const id of audience.acknowledged.keys()) {
    const heard = await audience.hear(id);
    if (!heard?.equals(audioOf(id))) lost++;
  }
  if (lost > 0) fail(`${lost} acknowledged recordings cannot be heard whole.`);
  say(`Acknowledged ${audience.acknowledged.size} recordings; ${lost} lost.`);

  const published = [...audience.acknowledged].filter(([, { isPublished }]) => isPublished).map(([id]) => id);
  const callsOf = (id: string) =>
    [...site.hubspot.world.calls.values()].filter(({ properties }) => properties.hs_call_title === id);
  const isThere = (id: string) => callsOf(id).some(({ ready }) => ready > 0);
  for (let tries = 0; tries < 120 && !published.every(isThere); tries++) await sleep(1_000);
  const missing = published.filter((id) => !isThere(id)).length;
  const doubled = published.filter((id) => callsOf(id).length > 1).length;
  if (missing > 0) fail(`${missing} publications were lost.`);
  if (doubled > 0) fail(`${doubled} calls were logged twice.`);
  say(`Published ${published.length}; ${missing} lost, ${doubled} doubled.`);

  const third = Math.ceil(memory.length / 3);
  const early = Math.max(...memory.slice(0, third));
  const late = Math.max(...memory.slice(-third));
  if (late > early * 1.5) fail(`Memory grew from ${megabytes(early)} to ${megabytes(late)} MB.`);
  say(
    `Memory of a gateway, both workers: at most ${megabytes(early)} MB in the first third, ${megabytes(late)} MB in the last.`,
  );
}
