import { readFileSync } from 'node:fs';

const { listeners, day, machines, s3, prices } = JSON.parse(
  readFileSync(new URL('../capacity.json', import.meta.url), 'utf8'),
);

export const callMinutes: number = listeners.minutes;
export const retentionDays: number = s3.retentionDays;
export const recordingBytes = listeners.minutes * 60 * listeners.kilobytesPerSecond * 1000;
/** Bytes that a player reads after a seek. */
export const seekBytes = listeners.secondsHeardPerSeek * listeners.kilobytesPerSecond * 1000;

export type Event = 'ingest' | 'retrieve' | 'seek' | 'whole';
/** CPU seconds of one event of each kind. */
export type Costs = Record<Event, number>;

/** How many events of each kind one recording has. */
export const perRecording: Record<Event, number> = {
  ingest: 1,
  retrieve: listeners.playersPerRecording + listeners.wholeReadsPerRecording,
  seek: listeners.playersPerRecording * (1 + listeners.seeksPerPlayer),
  whole: listeners.wholeReadsPerRecording,
};
export const events = Object.keys(perRecording) as Event[];

/** Ingests per second and people listening in the busiest minute of a day. */
export function peakOf(recordingsADay: number): { ingests: number; listening: number } {
  const ingests = (recordingsADay * day.busiestHour * day.burst) / 3600;
  const players = ingests * listeners.playersPerRecording;
  const listening = players * (1 + listeners.seeksPerPlayer) * listeners.secondsHeardPerSeek;
  return { ingests, listening };
}

/** What a number of recordings a day needs, and what it costs in dollars a month. */
export function demandOf(recordingsADay: number, costs: Costs) {
  const { ingests, listening } = peakOf(recordingsADay);
  const secondsPerRecording = events.reduce((sum, event) => sum + perRecording[event] * costs[event], 0);
  const cores = Math.max(2, Math.ceil((ingests * secondsPerRecording) / machines.utilization));
  const perWorker = machines.workerMegabytes + machines.checkerMegabytes + machines.cacheMegabytes;
  const gigabytes = (cores * perWorker + listening * machines.megabytesPerStream) / 1000;

  const parts = Math.ceil(recordingBytes / 1e6 / s3.partMegabytes);
  const puts = recordingsADay * (parts > 1 ? parts + 2 : 1);
  const gets =
    recordingsADay * (s3.getsPerWholeRead * perRecording.whole + s3.getsPerSeek * perRecording.seek);
  const readBytes = recordingsADay * (perRecording.whole * recordingBytes + perRecording.seek * seekBytes);
  const storedBytes = recordingsADay * s3.retentionDays * recordingBytes;
  const month = {
    cores: cores * prices.corePerHour * 730,
    requests: (puts * prices.put + gets * prices.get) * 30,
    storage: (storedBytes / 1e9) * prices.storagePerGBMonth,
    egress: ((readBytes * 30) / 1e9) * prices.egressPerGB,
  };
  return { recordingsADay, ingestsPerSecond: ingests, listening, cores, gigabytes, puts, gets, month };
}
