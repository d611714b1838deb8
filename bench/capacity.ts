import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import {
  type Costs,
  callMinutes,
  demandOf,
  type Event,
  events,
  peakOf,
  perRecording,
  recordingBytes,
  retentionDays,
  seekBytes,
} from './rig/capacity-model.ts';
import { type Library, makeLibrary } from './rig/library.ts';
import { cpuSeconds, machine } from './rig/machine.ts';
import { type Serving, startPlayhead } from './rig/peers.ts';
import { save, table } from './rig/report.ts';

const recordingsADay = [1_000, 100_000, 10_000_000];
/** The simulated minute: that of a day of so many recordings, played for so many seconds. */
const simulation = { recordingsADay: 20_000, seconds: 30 };
const accountId = 'bench';

/** Sends one event to the gateway. */
type Senders = Record<Event, () => Promise<void>>;

/** What a number of recordings a day needs: the measured CPU of each event, and a model of the listeners. */
export async function run(): Promise<void> {
  const library = makeLibrary(2);
  try {
    const settings = { 'source-roots': library.recordings, 'retrieve-auth': 'open' };
    const urlOf = (name: string) => pathToFileURL(join(library.recordings, name)).href;
    const serving = await startPlayhead(library, { settings, mode: 'copy', urlOf });
    try {
      const senders = sendersFor(serving, library);
      const costs = await measure(serving, senders);
      const simulated = await simulate(serving, senders, costs);
      report(costs, simulated);
    } finally {
      await serving.stop();
    }
  } finally {
    library.remove();
  }
}

function sendersFor({ url }: Serving, library: Library): Senders {
  const apiKey = readFileSync(join(library.folder, 'playhead/api-key'), 'utf8').trim();
  const audio = readFileSync(join(library.recordings, library.names[0]!)).subarray(0, recordingBytes);
  audio.writeUInt32LE(audio.length - 8, 4);
  audio.writeUInt32LE(audio.length - 44, 40);
  const ids: string[] = [];
  const request = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, init);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return Buffer.from(await response.arrayBuffer());
  };
  const anyId = () => ids[Math.floor(Math.random() * ids.length)]!;
  const retrieve = async (id: string) => {
    const body = await request(`/retrieve/authenticated/recordings/${id}?externalAccountId=${accountId}`);
    return new URL(JSON.parse(body.toString()).authenticatedUrl).pathname;
  };
  const paths = new Map<string, Promise<string>>();
  const pathOf = (id: string) => paths.get(id) ?? paths.set(id, retrieve(id)).get(id)!;
  return {
    async ingest() {
      const externalId = `call-${ids.length}-${Math.random()}`;
      const recording = { accountId, externalId, direction: 'inbound', channels: ['caller', 'recipient'] };
      const own = Buffer.from(audio);
      own.writeInt16LE(Math.floor(Math.random() * 1000), 44);
      const form = new FormData();
      form.append('recording', JSON.stringify(recording));
      form.append('audio', new Blob([own]), 'call.wav');
      await request('/v1/recordings', {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}` },
        body: form,
      });
      ids.push(externalId);
    },
    retrieve: async () => void (await retrieve(anyId())),
    async seek() {
      const first = Math.floor(Math.random() * (audio.length - seekBytes));
      const range = `bytes=${first}-${first + seekBytes - 1}`;
      await request(await pathOf(anyId()), { headers: { range } });
    },
    whole: async () => void (await request(await pathOf(anyId()))),
  };
}

/** Measures each kind of event alone, after a warm-up. */
async function measure(serving: Serving, senders: Senders): Promise<Costs> {
  const counts: Record<Event, number> = { ingest: 20, retrieve: 1500, seek: 800, whole: 120 };
  const costs = { ingest: 0, retrieve: 0, seek: 0, whole: 0 };
  for (const event of events) {
    const count = counts[event];
    for (let warming = 0; warming < count / 2; warming++) await senders[event]();
    const before = cpuSeconds(serving);
    for (let done = 0; done < count; done++) await senders[event]();
    costs[event] = (cpuSeconds(serving) - before) / count;
  }
  return costs;
}

/** CPU seconds. */
interface Simulated {
  predicted: number;
  measured: number;
}

/** A scaled-down busiest minute: all events at once, at the rates of the model. */
async function simulate(serving: Serving, senders: Senders, costs: Costs): Promise<Simulated> {
  const { ingests } = peakOf(simulation.recordingsADay);
  const done: Record<Event, number> = { ingest: 0, retrieve: 0, seek: 0, whole: 0 };
  const pending = new Set<Promise<void>>();
  const before = cpuSeconds(serving);
  await Promise.all(
    events.map(async (event) => {
      const count = Math.round(ingests * perRecording[event] * simulation.seconds);
      for (let started = 0; started < count; started++) {
        const sent = senders[event]().then(() => {
          done[event]++;
          pending.delete(sent);
        });
        pending.add(sent);
        await sleep((simulation.seconds * 1000) / count);
      }
    }),
  );
  await Promise.all(pending);
  const measured = cpuSeconds(serving) - before;
  return { measured, predicted: events.reduce((sum, event) => sum + done[event] * costs[event], 0) };
}

function report(costs: Costs, { predicted, measured }: Simulated): void {
  const figures = recordingsADay.map((count) => demandOf(count, costs));
  const count = (value: number) => Math.round(value).toLocaleString('en');
  const dollars = (value: number) => `$${count(value)}`;
  save('capacity', {
    title: 'What a number of recordings a day needs',
    machine: machine(),
    figures: [{ costs, predicted, measured }, ...figures],
    text: [
      `CPU of one event, user and system, of the gateway and the processes that check for it. A recording is ${callMinutes}
minutes of WAV (${(recordingBytes / 1e6).toFixed(1)} MB), from local disk in page cache.`,
      table(
        ['event', 'CPU ms', 'for one recording'],
        events.map((event) => [event, (costs[event] * 1000).toFixed(2), String(perRecording[event])]),
      ),
      'The busiest minute of a day, and a month of such days:',
      table(
        ['', ...recordingsADay.map((size) => `${count(size)} a day`)],
        [
          ['ingests a second', ...figures.map(({ ingestsPerSecond }) => ingestsPerSecond.toFixed(2))],
          ['people listening', ...figures.map(({ listening }) => count(listening))],
          ['cores', ...figures.map(({ cores }) => count(cores))],
          ['memory, GB', ...figures.map(({ gigabytes }) => gigabytes.toFixed(1))],
          ['S3 writes a day', ...figures.map(({ puts }) => count(puts))],
          ['S3 reads a day', ...figures.map(({ gets }) => count(gets))],
          ['cores a month', ...figures.map(({ month }) => dollars(month.cores))],
          ['S3 requests a month', ...figures.map(({ month }) => dollars(month.requests))],
          [`storage of ${retentionDays} days a month`, ...figures.map(({ month }) => dollars(month.storage))],
          ['bytes to listeners a month', ...figures.map(({ month }) => dollars(month.egress))],
        ],
      ),
      `Verified with the busiest minute of ${count(simulation.recordingsADay)} recordings a day, simulated for ${simulation.seconds} s: the costs above predict
${predicted.toFixed(1)} CPU-seconds, and ${measured.toFixed(1)} were measured (${(measured / predicted).toFixed(2)} times).`,
    ],
  });
}
