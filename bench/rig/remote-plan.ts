import { remotePeers } from './remote-peers.ts';
import type { SlowFigure } from './slow.ts';
import type { Workload } from './workload.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

export const workloads: Workload[] = [
  { name: '64 KiB', length: 64 * KiB },
  { name: '256 KiB', length: 256 * KiB },
  { name: '1 MiB', length: MiB },
  { name: 'whole 30 MiB', length: 0 },
];
const { playhead, playheadSmall, nginxProxy, nginxSlice, sdkPipe } = remotePeers;
export const measuredPeers = [playhead, nginxProxy, nginxSlice, sdkPipe];
export const listenerPeers = [playhead, playheadSmall, nginxProxy, nginxSlice, sdkPipe];
export const temperatures = ['cold', 'hot'] as const;
export const rounds = 3;
export const seconds = 2;
export const firstByteSeconds = 0.5;
/** 720 MiB: almost three times what the caches hold. More would take long to ingest. */
export const recordings = 24;
/** 180 MiB, which the caches hold. */
export const hotRecordings = 6;
export const listeners = 1_000;

export interface Sample {
  s3: string;
  peer: string;
  temperature: (typeof temperatures)[number];
  workload: string;
  cpuSecondsPerGB: number;
  requestsPerSecond: number;
  /** Requests to S3 per response, and bytes from S3 per byte of a response. NaN if S3 does not count them. */
  originRequests: number;
  originBytes: number;
  firstByteMs: number[];
  /** The most resident memory since the first request. */
  peakMB: number;
}

export type Figure = Omit<Sample, 'firstByteMs'> & { firstByteP50Ms: number; firstByteP99Ms: number };

/** Of one peer with slow listeners. */
export interface SlowPeerFigure extends SlowFigure {
  peer: string;
}
