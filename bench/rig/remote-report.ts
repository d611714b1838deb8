import type { machine } from './machine.ts';
import { bars } from './plot.ts';
import { type RemotePeer, remotePeers } from './remote-peers.ts';
import {
  type Figure,
  hotRecordings,
  listeners,
  measuredPeers,
  recordings,
  rounds,
  type SlowPeerFigure,
  seconds,
  temperatures,
  workloads,
} from './remote-plan.ts';
import { save, table } from './report.ts';
import { seconds as slowSeconds } from './slow.ts';

const { playhead, playheadSmall, nginxProxy, nginxSlice, sdkPipe } = remotePeers;

/** Writes bench/results/remote.* */
export function reportRemote(
  figures: Figure[],
  slowFigures: SlowPeerFigure[],
  on: ReturnType<typeof machine>,
): void {
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
      measuredPeers.map((peer) => [
        peer.name,
        ...temperatures.flatMap((each) => workloads.map(({ name }) => cell(find(s3, peer, each, name)))),
      ]),
    );

  const servers = [...new Set(figures.map(({ s3 }) => s3))];
  const sections = servers.flatMap((s3) => [
    `## ${s3}`,
    'CPU-seconds per gigabyte:',
    grid(s3, ({ cpuSecondsPerGB }) => cpuSecondsPerGB.toFixed(2)),
    'Requests per second:',
    grid(s3, ({ requestsPerSecond }) => requestsPerSecond.toFixed(0)),
    'Milliseconds to the first byte of the body, median / 99th percentile, with 4 connections:',
    grid(s3, ({ firstByteP50Ms, firstByteP99Ms }) => `${firstByteP50Ms} / ${firstByteP99Ms}`),
    'Most resident memory so far, MB:',
    grid(s3, ({ peakMB }) => String(peakMB)),
    ...(s3 === servers[0]
      ? [
          'Requests to S3 per response / bytes from S3 per byte of a response:',
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
  const slow = slowFigures.find(({ peer }) => peer === playheadSmall.name)!;
  const aims = [
    ['hot, relative to nginx proxy_pass', times(hot / at256(nginxProxy, 'hot')), 'at most 0.6×'],
    ['hot, relative to nginx slice + proxy_cache', times(hot / at256(nginxSlice, 'hot')), 'at most 1.7×'],
    ['cold, relative to nginx proxy_pass', times(cold / at256(nginxProxy, 'cold')), 'at most 3×'],
    ['cold, the AWS SDK piped relative to Playhead', times(at256(sdkPipe, 'cold') / cold), 'at least 5×'],
    [`${listeners} slow listeners, 40 MB for blocks`, `${slow.peakMB} MB`, 'below 300 MB'],
  ];
  save('remote', {
    title: 'Recordings in S3',
    machine: on,
    figures: [...figures, ...slowFigures],
    text: [
      `Servers between listeners and S3: Playhead with its default settings (256 MB of memory for blocks), nginx as a
proxy, nginx with a cache of 256 MB in slices of 1 MiB, and a Node server that pipes the responses of the AWS SDK. The
server is on one core; wrk (16 connections, plain HTTP on loopback) and S3 share the other. Median of ${rounds} runs of
${seconds} s in which the peers took turns. CPU is the server's, user and system, per gigabyte sent.`,
      `Cold: the ranges cover every megabyte of ${recordings} recordings of 30 MiB before one is repeated. A scan-resistant
cache still keeps a part of them, which the requests to S3 show. Hot: ranges at random positions of ${hotRecordings}
recordings, all of them in the caches.`,
      'CPU per byte at 256 KiB and the aims, with nginx as S3:',
      table(['Playhead', 'measured', 'aim'], aims),
      ...sections,
      `## ${listeners} slow listeners`,
      `Each reads 32 KiB a second for ${slowSeconds} s, from a random position in a recording. Resident memory of a server just
started, before and at its peak, and what the slowest listener received.`,
      table(
        ['', 'before, MB', 'peak, MB', 'least, KiB'],
        slowFigures.map(({ peer, idleMB, peakMB, leastKiB }) => [
          peer,
          ...[idleMB, peakMB, leastKiB].map(String),
        ]),
      ),
    ],
    plot: bars(
      `CPU-seconds per gigabyte, ${s3} (logarithmic)`,
      temperatures.flatMap((each) =>
        workloads.map(({ name }) => ({
          label: `${each} ${name}`,
          values: measuredPeers.map((peer) => ({
            label: peer.name,
            value: find(s3, peer, each, name).cpuSecondsPerGB,
          })),
        })),
      ),
      [`${on.cpu}, server on one core; Linux ${on.linux}, Node ${on.node}, nginx ${on.nginx}, ${on.date}`],
    ),
  });
}
