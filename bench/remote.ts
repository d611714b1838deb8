import { firstBytes } from './rig/first-byte.ts';
import { type Library, makeLibrary } from './rig/library.ts';
import { load, verify } from './rig/load.ts';
import { cpuSeconds, forgetPeak, machine, peakBytes, pinSelf } from './rig/machine.ts';
import type { Serving } from './rig/peers.ts';
import type { RemotePeer } from './rig/remote-peers.ts';
import {
  type Figure,
  firstByteSeconds,
  hotRecordings,
  listenerPeers,
  listeners,
  measuredPeers,
  recordings,
  rounds,
  type Sample,
  type SlowPeerFigure,
  seconds,
  temperatures,
  workloads,
} from './rig/remote-plan.ts';
import { reportRemote } from './rig/remote-report.ts';
import { median } from './rig/report.ts';
import { givenS3, nginxAsS3, type S3 } from './rig/s3.ts';
import { slowListeners } from './rig/slow.ts';
import { anywhere, sweep } from './rig/workload.ts';

const MiB = 1024 ** 2;

/** CPU, time to first byte and memory of servers between listeners and S3, measured side by side. */
export async function run(): Promise<void> {
  const on = machine(); // before pinSelf, after which this process sees one core only
  pinSelf();
  const figures: Figure[] = [];
  const slowFigures: SlowPeerFigure[] = [];
  await withS3(nginxAsS3, async (library, s3) => {
    figures.push(...(await throughput(library, s3)));
    for (const peer of listenerPeers) slowFigures.push(await slowFigureOf(peer, library, s3));
  });
  const endpoint = process.env.PLAYHEAD_TEST_S3_ENDPOINT;
  if (endpoint) {
    const open = (library: Library) => givenS3(library, endpoint);
    await withS3(open, async (library, s3) => void figures.push(...(await throughput(library, s3))));
  }
  reportRemote(figures, slowFigures, on);
}

async function withS3(
  open: (library: Library) => Promise<S3>,
  use: (library: Library, s3: S3) => Promise<void>,
): Promise<void> {
  const library = makeLibrary(recordings);
  try {
    const s3 = await open(library);
    await use(library, s3).finally(() => s3.stop());
  } finally {
    library.remove();
  }
}

async function throughput(library: Library, s3: S3): Promise<Figure[]> {
  const running: [RemotePeer, Serving][] = [];
  try {
    for (const peer of measuredPeers) {
      const serving = await peer.start(library, s3);
      running.push([peer, serving]);
      await verify(serving, library);
      forgetPeak(serving);
    }
    return summarize(await takeTurns(running, library, s3));
  } finally {
    for (const [, serving] of running) await serving.stop();
  }
}

/** Starts the peer again, so that the memory of the earlier load is not counted. */
async function slowFigureOf(peer: RemotePeer, library: Library, s3: S3): Promise<SlowPeerFigure> {
  await (await peer.start(library, s3)).stop(); // the first start ingests
  const serving = await peer.start(library, s3);
  const from = () => Math.floor(Math.random() * (library.size - 4 * MiB));
  return {
    peer: peer.name,
    ...(await slowListeners(serving, library, listeners, from).finally(serving.stop)),
  };
}

/** Peers take turns within a round, so that a slow minute of the machine affects all of them. */
async function takeTurns(running: [RemotePeer, Serving][], library: Library, s3: S3): Promise<Sample[]> {
  const samples: Sample[] = [];
  const sent = new Map<Serving, number>();
  for (const temperature of temperatures) {
    for (let round = 0; round <= rounds; round++) {
      for (const workload of workloads) {
        for (const [{ name: peer }, serving] of running) {
          const { paths } = serving;
          const requests =
            temperature === 'cold'
              ? sweep(workload, paths, library.size)
              : anywhere(workload, paths.slice(0, hotRecordings), library.size);
          const from = sent.get(serving) ?? 0;
          const firstByteMs = await firstBytes(serving, requests, from, firstByteSeconds);
          const cpuBefore = cpuSeconds(serving);
          const trafficBefore = s3.traffic();
          const loaded = await load(serving, library, workload, seconds, requests, from + firstByteMs.length);
          const { bytes } = loaded;
          const responses = bytes / (workload.length || library.size); // includes the parts of those cut off at the end
          const cpu = cpuSeconds(serving) - cpuBefore;
          const traffic = s3.traffic();
          sent.set(serving, from + firstByteMs.length + loaded.requests);
          if (round === 0) continue; // warms caches and the compiler
          samples.push({
            ...{ s3: s3.name, peer, temperature, workload: workload.name },
            cpuSecondsPerGB: cpu / (bytes / 1e9),
            requestsPerSecond: responses / loaded.seconds,
            originRequests: ((traffic?.requests ?? Number.NaN) - (trafficBefore?.requests ?? 0)) / responses,
            originBytes: ((traffic?.bytes ?? Number.NaN) - (trafficBefore?.bytes ?? 0)) / bytes,
            firstByteMs,
            peakMB: Math.round(peakBytes(serving) / 1e6),
          });
        }
      }
    }
  }
  return samples;
}

/** The medians of the rounds. The times to first byte are of all rounds together. */
function summarize(samples: Sample[]): Figure[] {
  const groups = Map.groupBy(samples, ({ peer, temperature, workload }) => peer + temperature + workload);
  return [...groups.values()].map((group) => {
    const middle = (value: (sample: Sample) => number) => Number(median(group.map(value)).toPrecision(3));
    const times = group.flatMap(({ firstByteMs }) => firstByteMs).sort((a, b) => a - b);
    const quantile = (share: number) => Number(times[Math.floor((times.length - 1) * share)]!.toPrecision(3));
    const { s3, peer, temperature, workload } = group[0]!;
    return {
      ...{ s3, peer, temperature, workload },
      cpuSecondsPerGB: middle((sample) => sample.cpuSecondsPerGB),
      requestsPerSecond: middle((sample) => sample.requestsPerSecond),
      originRequests: middle((sample) => sample.originRequests),
      originBytes: middle((sample) => sample.originBytes),
      firstByteP50Ms: quantile(0.5),
      firstByteP99Ms: quantile(0.99),
      peakMB: Math.max(...group.map((sample) => sample.peakMB)),
    };
  });
}
