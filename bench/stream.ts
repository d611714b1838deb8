import { makeLibrary } from './rig/library.ts';
import { load, verify } from './rig/load.ts';
import { cpuSeconds, machine } from './rig/machine.ts';
import { type Peer, peers, type Serving } from './rig/peers.ts';
import { bars } from './rig/plot.ts';
import { median, save, table } from './rig/report.ts';
import type { Workload } from './rig/workload.ts';

const KiB = 1024;
const workloads: Workload[] = [
  { name: '64 KiB', length: 64 * KiB },
  { name: '256 KiB', length: 256 * KiB },
  { name: '1 MiB', length: 1024 * KiB },
  { name: 'whole 30 MiB', length: 0 },
];
const measured: Peer[] = [peers.playhead, peers.playheadLogging, peers.nginxStatic, peers.fastifyStatic];
const rounds = 3;
const seconds = 4;

interface Figure {
  peer: string;
  workload: string;
  cpuSecondsPerGB: number;
  requestsPerSecond: number;
}

/** CPU per byte from local disk, beside nginx and @fastify/static. */
export async function run(): Promise<void> {
  const library = makeLibrary(16);
  const running: [Peer, Serving][] = [];
  try {
    for (const peer of measured) {
      const serving = await peer.start(library);
      running.push([peer, serving]);
      await verify(serving, library);
    }
    const samples: Figure[] = [];
    // Peers take turns within a round, so that a slow minute of the machine affects all of them.
    for (let round = 0; round <= rounds; round++) {
      for (const workload of workloads) {
        for (const [peer, serving] of running) {
          const before = cpuSeconds(serving);
          const {
            requests,
            bytes,
            seconds: elapsed,
          } = await load(serving, library, workload, round === 0 ? 1 : seconds);
          const cpu = cpuSeconds(serving) - before;
          if (round === 0) continue; // warms caches and the compiler
          const figure = { cpuSecondsPerGB: cpu / (bytes / 1e9), requestsPerSecond: requests / elapsed };
          samples.push({ peer: peer.name, workload: workload.name, ...figure });
        }
      }
    }
    report(samples);
  } finally {
    for (const [, serving] of running) await serving.stop();
    library.remove();
  }
}

function report(samples: Figure[]): void {
  const figures = measured.flatMap(({ name: peer }) =>
    workloads.map(({ name: workload }): Figure => {
      const own = samples.filter((sample) => sample.peer === peer && sample.workload === workload);
      return {
        peer,
        workload,
        cpuSecondsPerGB: Number(median(own.map((sample) => sample.cpuSecondsPerGB)).toFixed(3)),
        requestsPerSecond: Math.round(median(own.map((sample) => sample.requestsPerSecond))),
      };
    }),
  );
  const cost = (peer: Peer, workload: string) =>
    figures.find((figure) => figure.peer === peer.name && figure.workload === workload)!.cpuSecondsPerGB;
  const overNginx = cost(peers.playhead, '256 KiB') / cost(peers.nginxStatic, '256 KiB');
  const underFastify = cost(peers.fastifyStatic, '256 KiB') / cost(peers.playhead, '256 KiB');

  const rows = measured.map((peer) => [
    peer.name,
    ...workloads.map(({ name }) => {
      const ratio = cost(peer, name) / cost(peers.nginxStatic, name);
      return `${cost(peer, name).toFixed(2)} (${ratio.toFixed(1)}×)`;
    }),
  ]);
  save('stream', {
    title: 'CPU to stream from local disk',
    machine: machine(),
    figures,
    text: [
      'CPU-seconds per gigabyte of the serving process, user and system. In brackets: the multiple of nginx static.',
      `Random ranges and whole files of 16 recordings of 30 MiB in page cache, 16 connections, plain HTTP on
loopback, the server on one core and wrk on another; median of ${rounds} runs of ${seconds} s in which the peers took turns.`,
      table(['', ...workloads.map(({ name }) => name)], rows),
      `At 256 KiB Playhead takes ${overNginx.toFixed(1)}× nginx static (aim: at most 3×), and @fastify/static takes
${underFastify.toFixed(1)}× Playhead (aim: at least 8×).`,
    ],
    plot: bars(
      'CPU-seconds per gigabyte (logarithmic)',
      workloads.map(({ name }) => ({
        label: name,
        values: measured.map((peer) => ({ label: peer.name, value: cost(peer, name) })),
      })),
    ),
  });
}
