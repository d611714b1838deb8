import { firstBytes } from './rig/first-byte.ts';
import { type Library, makeLibrary } from './rig/library.ts';
import { load, verify } from './rig/load.ts';
import { cpuSeconds, forgetPeak, machine, peakBytes, pinSelf } from './rig/machine.ts';
import type { Serving } from './rig/peers.ts';
import { bars } from './rig/plot.ts';
import { type RemotePeer, remotePeers } from './rig/remote-peers.ts';
import { median, save, table } from './rig/report.ts';
import { givenS3, nginxAsS3, type S3 } from './rig/s3.ts';
import { type SlowFigure, slowListeners, seconds as slowSeconds } from './rig/slow.ts';
import { anywhere, sweep, type Workload } from './rig/workload.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const workloads: Workload[] = [
  { name: '64 KiB', length: 64 * KiB },
  { name: '256 KiB', length: 256 * KiB },
  { name: '1 MiB', length: MiB },
  { name: 'whole 30 MiB', length: 0 },
];
const { playhead, playheadSmall, nginxProxy, nginxSlice, sdkPipe } = remotePeers;
const measured = [playhead, nginxProxy, nginxSlice, sdkPipe];
const listenedTo = [playhead, playheadSmall, nginxProxy, nginxSlice, sdkPipe];
const temperatures = ['cold', 'hot'] as const;
const rounds = 3;
const seconds = 2;
const firstByteSeconds = 0.5;
/** 720 MiB: close to three times what the caches hold; more of them would take long to be taken in. */
const recordings = 24;
/** 180 MiB: what the caches hold with room to spare. */
const hotRecordings = 6;
const listeners = 1_000;

interface Sample {
  s3: string;
  peer: string;
  temperature: (typeof temperatures)[number];
  workload: string;
  cpuSecondsPerGB: number;
  requestsPerSecond: number;
  /** Requests to S3 for each answer, and bytes from it for each byte answered; NaN where S3 does not say. */
  originRequests: number;
  originBytes: number;
  firstByteMs: number[];
  /** Resident memory at its highest since the first request. */
  peakMB: number;
}
type Figure = Omit<Sample, 'firstByteMs'> & { firstByteP50Ms: number; firstByteP99Ms: number };
/** Of a peer that slow listeners listen to. */
interface Patience extends SlowFigure {
  peer: string;
}

/** CPU, time to first byte and memory of what stands between listeners and S3, side by side in one run. */
export async function run(): Promise<void> {
  const on = machine(); // before this process is kept from seeing more than one core
  pinSelf();
  const figures: Figure[] = [];
  const patience: Patience[] = [];
  await withS3(nginxAsS3, async (library, s3) => {
    figures.push(...(await throughput(library, s3)));
    for (const peer of listenedTo) patience.push(await patienceOf(peer, library, s3));
  });
  const endpoint = process.env.PLAYHEAD_TEST_S3_ENDPOINT;
  if (endpoint) {
    const open = (library: Library) => givenS3(library, endpoint);
    await withS3(open, async (library, s3) => void figures.push(...(await throughput(library, s3))));
  }
  report(figures, patience, on);
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
    for (const peer of measured) {
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

/** Begins anew, so that what the load before has left in memory does not count. */
async function patienceOf(peer: RemotePeer, library: Library, s3: S3): Promise<Patience> {
  await (await peer.start(library, s3)).stop(); // whatever has to be taken in is taken in
  const serving = await peer.start(library, s3);
  const from = () => Math.floor(Math.random() * (library.size - 4 * MiB));
  return {
    peer: peer.name,
    ...(await slowListeners(serving, library, listeners, from).finally(serving.stop)),
  };
}

/** Peers take turns within a round, so that a slow minute of the machine falls on all of them. */
async function takeTurns(running: [RemotePeer, Serving][], library: Library, s3: S3): Promise<Sample[]> {
  const samples: Sample[] = [];
  const asked = new Map<Serving, number>();
  for (const temperature of temperatures) {
    for (let round = 0; round <= rounds; round++) {
      for (const workload of workloads) {
        for (const [{ name: peer }, serving] of running) {
          const { paths } = serving;
          const asks =
            temperature === 'cold'
              ? sweep(workload, paths, library.size)
              : anywhere(workload, paths.slice(0, hotRecordings), library.size);
          const from = asked.get(serving) ?? 0;
          const firstByteMs = await firstBytes(serving, asks, from, firstByteSeconds);
          const cpuBefore = cpuSeconds(serving);
          const trafficBefore = s3.traffic();
          const loaded = await load(serving, library, workload, seconds, asks, from + firstByteMs.length);
          const { bytes } = loaded;
          const answers = bytes / (workload.length || library.size); // some are on their way when time is up
          const cpu = cpuSeconds(serving) - cpuBefore;
          const traffic = s3.traffic();
          asked.set(serving, from + firstByteMs.length + loaded.requests);
          if (round === 0) continue; // warms caches and the compiler
          samples.push({
            ...{ s3: s3.name, peer, temperature, workload: workload.name },
            cpuSecondsPerGB: cpu / (bytes / 1e9),
            requestsPerSecond: answers / loaded.seconds,
            originRequests: ((traffic?.requests ?? Number.NaN) - (trafficBefore?.requests ?? 0)) / answers,
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

/** The medians of the rounds; times to first byte are those of all rounds together. */
function summarize(samples: Sample[]): Figure[] {
  const alike = Map.groupBy(samples, ({ peer, temperature, workload }) => peer + temperature + workload);
  return [...alike.values()].map((group) => {
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

function report(figures: Figure[], patience: Patience[], on: ReturnType<typeof machine>): void {
  const find = (s3: string, peer: RemotePeer, temperature: string, workload: string) =>
    figures.find(
      (figure) =>
        figure.s3 === s3 &&
        figure.peer === peer.name &&
        figure.temperature === temperature &&
        figure.workload === workload,
    )!;
  const head = ['', ...temperatures.flatMap((each) => workloads.map(({ name }) => `${each} ${name}`))];
  const grid = (s3: string, cell: (figure: Figure) => string) =>
    table(
      head,
      measured.map((peer) => [
        peer.name,
        ...temperatures.flatMap((each) => workloads.map(({ name }) => cell(find(s3, peer, each, name)))),
      ]),
    );

  const servers = [...new Set(figures.map(({ s3 }) => s3))];
  const sections = servers.flatMap((s3) => [
    `## ${s3}`,
    'CPU-seconds a gigabyte:',
    grid(s3, ({ cpuSecondsPerGB }) => cpuSecondsPerGB.toFixed(2)),
    'Requests a second:',
    grid(s3, ({ requestsPerSecond }) => requestsPerSecond.toFixed(0)),
    'Milliseconds to the first byte of the body, median / 99th percentile, with 4 connections:',
    grid(s3, ({ firstByteP50Ms, firstByteP99Ms }) => `${firstByteP50Ms} / ${firstByteP99Ms}`),
    'Highest resident memory so far, MB:',
    grid(s3, ({ peakMB }) => String(peakMB)),
    ...(s3 === servers[0]
      ? [
          'Requests to S3 for each answer / bytes from S3 for each byte answered:',
          grid(s3, ({ originRequests, originBytes }) => `${originRequests} / ${originBytes}`),
        ]
      : []),
  ]);

  const [s3] = servers as [string];
  const at256 = (peer: RemotePeer, temperature: string) =>
    find(s3, peer, temperature, '256 KiB').cpuSecondsPerGB;
  const cold = at256(playhead, 'cold');
  const hot = at256(playhead, 'hot');
  const times = (ratio: number) => `${ratio.toFixed(2)}×`;
  const slow = patience.find(({ peer }) => peer === playheadSmall.name)!;
  const aims = [
    ['hot, of nginx proxy_pass', times(hot / at256(nginxProxy, 'hot')), 'at most 0.6×'],
    ['hot, of nginx slice + proxy_cache', times(hot / at256(nginxSlice, 'hot')), 'at most 1.7×'],
    ['cold, of nginx proxy_pass', times(cold / at256(nginxProxy, 'cold')), 'at most 3×'],
    ['cold, the AWS SDK piped takes', times(at256(sdkPipe, 'cold') / cold), 'at least 5×'],
    [`${listeners} slow listeners, 40 MB for blocks`, `${slow.peakMB} MB`, 'below 300 MB'],
  ];
  save('remote', {
    title: 'Recordings in S3',
    machine: on,
    figures: [...figures, ...patience],
    text: [
      `What stands between listeners and S3, each with what it is started with by default: Playhead (256 MB of memory for
blocks), nginx as a proxy, nginx with a cache of 256 MB in slices of 1 MiB, and a Node server that pipes what the AWS
SDK gets. The server is on one core; wrk (16 connections, plain HTTP on loopback) and S3 share the other. Median of
${rounds} runs of ${seconds} s in which the peers took turns. CPU is the server's, user and system, for each gigabyte it
answered.`,
      `Cold: the ranges go through every megabyte of ${recordings} recordings of 30 MiB before they come back to one. A cache that
resists scans keeps a part of them all the same: the requests to S3 tell how much. Hot: ranges at random places of
${hotRecordings} recordings, all of them in the caches.`,
      'CPU for each byte at 256 KiB, as the aims have it, with nginx as S3:',
      table(['Playhead', 'measured', 'aim'], aims),
      ...sections,
      `## ${listeners} slow listeners`,
      `Each takes 32 KiB a second for ${slowSeconds} s, from anywhere in a recording. Resident memory of a server just started,
before and at its peak, and what the listener who got least was given.`,
      table(
        ['', 'before, MB', 'peak, MB', 'least, KiB'],
        patience.map(({ peer, idleMB, peakMB, leastKiB }) => [
          peer,
          ...[idleMB, peakMB, leastKiB].map(String),
        ]),
      ),
    ],
    plot: bars(
      `CPU-seconds a gigabyte, ${s3} (logarithmic)`,
      temperatures.flatMap((each) =>
        workloads.map(({ name }) => ({
          label: `${each} ${name}`,
          values: measured.map((peer) => ({
            label: peer.name,
            value: find(s3, peer, each, name).cpuSecondsPerGB,
          })),
        })),
      ),
      [`${on.cpu}, server on one core; Linux ${on.linux}, Node ${on.node}, nginx ${on.nginx}, ${on.date}`],
    ),
  });
}
