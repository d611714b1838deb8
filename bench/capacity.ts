import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { type Library, makeLibrary } from './rig/library.ts';
import { cpuSeconds, machine } from './rig/machine.ts';
import { type Serving, startPlayhead } from './rig/peers.ts';
import { save, table } from './rig/report.ts';

const { listeners, day, machines, s3, prices } = JSON.parse(
  readFileSync(new URL('./capacity.json', import.meta.url), 'utf8'),
);
const sizes = [1_000, 100_000, 10_000_000];
const check = { recordingsADay: 20_000, seconds: 30 };
const accountId = 'bench';
const recordingBytes = listeners.minutes * 60 * listeners.kilobytesPerSecond * 1000;
const seekBytes = listeners.secondsHeardPerSeek * listeners.kilobytesPerSecond * 1000;

type Event = 'ingest' | 'retrieve' | 'seek' | 'whole';
/** CPU-seconds of one event of each kind. */
type Costs = Record<Event, number>;
/** How often each kind happens, for one recording. */
const perRecording: Record<Event, number> = {
  ingest: 1,
  retrieve: listeners.playersPerRecording + listeners.wholeReadsPerRecording,
  seek: listeners.playersPerRecording * (1 + listeners.seeksPerPlayer),
  whole: listeners.wholeReadsPerRecording,
};
const kinds = Object.keys(perRecording) as Event[];

/** What a number of recordings a day takes: measured costs of each event, and a model of who listens. */
export async function run(): Promise<void> {
  const library = makeLibrary(2);
  try {
    const settings = { 'source-roots': library.recordings, 'retrieve-auth': 'open' };
    const urlOf = (name: string) => pathToFileURL(join(library.recordings, name)).href;
    const serving = await startPlayhead(library, { settings, mode: 'copy', urlOf });
    try {
      const events = eventsOf(serving, library);
      const costs = await measure(serving, events);
      const checked = await simulate(serving, events, costs);
      report(costs, checked);
    } finally {
      await serving.stop();
    }
  } finally {
    library.remove();
  }
}

function eventsOf({ url }: Serving, library: Library): Record<Event, () => Promise<void>> {
  const apiKey = readFileSync(join(library.folder, 'playhead/api-key'), 'utf8').trim();
  const audio = readFileSync(join(library.recordings, library.names[0]!)).subarray(0, recordingBytes);
  audio.writeUInt32LE(audio.length - 8, 4);
  audio.writeUInt32LE(audio.length - 44, 40);
  const taken: string[] = [];
  const heard = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(url + path, init);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return Buffer.from(await answer.arrayBuffer());
  };
  const anyone = () => taken[Math.floor(Math.random() * taken.length)]!;
  const share = async (id: string) => {
    const answer = await heard(`/retrieve/authenticated/recordings/${id}?externalAccountId=${accountId}`);
    return new URL(JSON.parse(answer.toString()).authenticatedUrl).pathname;
  };
  const paths = new Map<string, Promise<string>>();
  const pathOf = (id: string) => paths.get(id) ?? paths.set(id, share(id)).get(id)!;
  return {
    async ingest() {
      const externalId = `call-${taken.length}-${Math.random()}`;
      const recording = { accountId, externalId, direction: 'inbound', channels: ['caller', 'recipient'] };
      const own = Buffer.from(audio);
      own.writeInt16LE(Math.floor(Math.random() * 1000), 44);
      const form = new FormData();
      form.append('recording', JSON.stringify(recording));
      form.append('audio', new Blob([own]), 'call.wav');
      await heard('/v1/recordings', {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}` },
        body: form,
      });
      taken.push(externalId);
    },
    retrieve: async () => void (await share(anyone())),
    async seek() {
      const first = Math.floor(Math.random() * (audio.length - seekBytes));
      const range = `bytes=${first}-${first + seekBytes - 1}`;
      await heard(await pathOf(anyone()), { headers: { range } });
    },
    whole: async () => void (await heard(await pathOf(anyone()))),
  };
}

/** Each kind by itself, one after the other, once everything is warm. */
async function measure(serving: Serving, events: Record<Event, () => Promise<void>>): Promise<Costs> {
  const counts: Record<Event, number> = { ingest: 20, retrieve: 1500, seek: 800, whole: 120 };
  const costs = { ingest: 0, retrieve: 0, seek: 0, whole: 0 };
  for (const kind of kinds) {
    const count = counts[kind];
    for (let warming = 0; warming < count / 2; warming++) await events[kind]();
    const before = cpuSeconds(serving);
    for (let done = 0; done < count; done++) await events[kind]();
    costs[kind] = (cpuSeconds(serving) - before) / count;
  }
  return costs;
}

interface Checked {
  predicted: number;
  measured: number;
}

/** A scaled-down busiest minute: everything at once, at the rates of the model. In CPU-seconds. */
async function simulate(
  serving: Serving,
  events: Record<Event, () => Promise<void>>,
  costs: Costs,
): Promise<Checked> {
  const { ingests } = peakOf(check.recordingsADay);
  const done: Record<Event, number> = { ingest: 0, retrieve: 0, seek: 0, whole: 0 };
  const under = new Set<Promise<void>>();
  const before = cpuSeconds(serving);
  await Promise.all(
    kinds.map(async (kind) => {
      const count = Math.round(ingests * perRecording[kind] * check.seconds);
      for (let begun = 0; begun < count; begun++) {
        const event = events[kind]().then(() => {
          done[kind]++;
          under.delete(event);
        });
        under.add(event);
        await sleep((check.seconds * 1000) / count);
      }
    }),
  );
  await Promise.all(under);
  const measured = cpuSeconds(serving) - before;
  return { measured, predicted: kinds.reduce((sum, kind) => sum + done[kind] * costs[kind], 0) };
}

/** Of the busiest minute, by the second. */
function peakOf(recordingsADay: number) {
  const ingests = (recordingsADay * day.busiestHour * day.burst) / 3600;
  const players = ingests * listeners.playersPerRecording;
  const listening = players * (1 + listeners.seeksPerPlayer) * listeners.secondsHeardPerSeek;
  return { ingests, listening };
}

/** What a number of recordings a day takes, on one core or many. */
function demand(recordingsADay: number, costs: Costs) {
  const { ingests, listening } = peakOf(recordingsADay);
  const perPeak = kinds.reduce((sum, kind) => sum + perRecording[kind] * costs[kind], 0);
  const cores = Math.max(2, Math.ceil((ingests * perPeak) / machines.utilization));
  const perWorker = machines.workerMegabytes + machines.checkerMegabytes + machines.cacheMegabytes;
  const gigabytes = (cores * perWorker + listening * machines.megabytesPerStream) / 1000;

  const parts = Math.ceil(recordingBytes / 1e6 / s3.partMegabytes);
  const puts = recordingsADay * (parts > 1 ? parts + 2 : 1);
  const gets =
    recordingsADay * (s3.getsPerWholeRead * perRecording.whole + s3.getsPerSeek * perRecording.seek);
  const heard = recordingsADay * (perRecording.whole * recordingBytes + perRecording.seek * seekBytes);
  const kept = recordingsADay * s3.retentionDays * recordingBytes;
  const month = {
    cores: cores * prices.corePerHour * 730,
    requests: (puts * prices.put + gets * prices.get) * 30,
    storage: (kept / 1e9) * prices.storagePerGBMonth,
    egress: ((heard * 30) / 1e9) * prices.egressPerGB,
  };
  return { recordingsADay, ingestsPerSecond: ingests, listening, cores, gigabytes, puts, gets, month };
}

function report(costs: Costs, { predicted, measured }: Checked): void {
  const figures = sizes.map((size) => demand(size, costs));
  const count = (value: number) => Math.round(value).toLocaleString('en');
  const dollars = (value: number) => `$${count(value)}`;
  save('capacity', {
    title: 'What a number of recordings a day takes',
    machine: machine(),
    figures: [{ costs, predicted, measured }, ...figures],
    text: [
      `CPU of one event, user and system, of the gateway and of what checks for it; a recording of ${listeners.minutes} minutes
as WAV (${(recordingBytes / 1e6).toFixed(1)} MB), from local disk in page cache.`,
      table(
        ['event', 'CPU ms', 'for one recording'],
        kinds.map((kind) => [kind, (costs[kind] * 1000).toFixed(2), String(perRecording[kind])]),
      ),
      'The busiest minute of a day, and a month of such days:',
      table(
        ['', ...sizes.map((size) => `${count(size)} a day`)],
        [
          ['ingests a second', ...figures.map(({ ingestsPerSecond }) => ingestsPerSecond.toFixed(2))],
          ['people listening', ...figures.map(({ listening }) => count(listening))],
          ['cores', ...figures.map(({ cores }) => count(cores))],
          ['memory, GB', ...figures.map(({ gigabytes }) => gigabytes.toFixed(1))],
          ['S3 writes a day', ...figures.map(({ puts }) => count(puts))],
          ['S3 reads a day', ...figures.map(({ gets }) => count(gets))],
          ['cores a month', ...figures.map(({ month }) => dollars(month.cores))],
          ['S3 requests a month', ...figures.map(({ month }) => dollars(month.requests))],
          [
            `storage of ${s3.retentionDays} days a month`,
            ...figures.map(({ month }) => dollars(month.storage)),
          ],
          ['bytes to listeners a month', ...figures.map(({ month }) => dollars(month.egress))],
        ],
      ),
      `Checked against the busiest minute of ${count(check.recordingsADay)} recordings a day, played for ${check.seconds} s: the costs above foretell
${predicted.toFixed(1)} CPU-seconds, ${measured.toFixed(1)} were taken (${(measured / predicted).toFixed(2)} times).`,
    ],
  });
}
