import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { CheckPool } from '../src/audio/process/pool.ts';
import { openFile } from '../src/audio/source.ts';
import { SourceReader } from '../src/audio/source-reader.ts';
import { readStructure } from '../src/audio/structure.ts';
import { machine } from './rig/machine.ts';
import { median, save, table } from './rig/report.ts';

const call = new URL('../fixtures/inbound-caller1.wav', import.meta.url).pathname;
const checkOne = new URL('./rig/check-one.ts', import.meta.url).pathname;
/** The call takes 20.3 s. Repeated this often it takes an hour. */
const repeats = 176;
const hourSeconds = 3600;
const structureRuns = 50;
const probeRuns = 15;

/** An hour of a call in each container: the cost of reading its structure, and of the whole check. */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-bench-'));
  const figures = [];
  try {
    for (const rate of [8000, 44_100]) {
      for (const [name, path] of makeHours(folder, rate)) figures.push(await measure(name, path));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  save('check', { title: 'The channel check', machine: machine(), figures, text: describe(figures) });
}

function makeHours(folder: string, rate: number): [name: string, path: string][] {
  const path = (kind: string) => join(folder, `${rate}.${kind}`);
  const ffmpeg = (...args: string[]) => execFileSync('ffmpeg', ['-nostdin', '-v', 'error', ...args]);
  execFileSync('sox', [call, '-r', String(rate), path('wav'), 'repeat', String(repeats)]);
  execFileSync('sox', [path('wav'), path('flac')]);
  ffmpeg('-i', call, '-ar', String(rate), '-c:a', 'aac', path('short.m4a'));
  ffmpeg('-stream_loop', String(repeats), '-i', path('short.m4a'), '-c', 'copy', path('m4a'));
  const names = { wav: 'WAV', flac: 'FLAC', m4a: 'AAC' };
  return Object.entries(names).map(([kind, name]) => [`${name}, ${rate / 1000} kHz`, path(kind)]);
}

async function measure(name: string, path: string) {
  const structure = await timeStructure(path);
  const probes = Array.from(
    { length: probeRuns },
    () => runMeasured('ffprobe', ['-v', 'error', path]).seconds * 1000,
  );
  const ours = runMeasured(process.execPath, [checkOne, path]);
  const ffmpeg = runMeasured('ffmpeg', [
    '-nostdin',
    '-v',
    'error',
    '-i',
    path,
    '-af',
    'astats',
    '-f',
    'null',
    '-',
  ]);
  const sox = path.endsWith('m4a') ? undefined : runMeasured('sox', [path, '-n', 'stat']);
  return {
    name,
    structureMs: structure.ms,
    ffprobeMs: median(probes),
    structureBytes: structure.bytes,
    checkSeconds: ours.seconds,
    timesRealTime: hourSeconds / ours.seconds,
    checkCpu: ours.cpu,
    ffmpegCpu: ffmpeg.cpu,
    soxCpu: sox?.cpu ?? null,
    peakMB: ours.peakMB,
    loopDelayMs: await loopDelayMs(path),
  };
}

/** In a process that is already warm, as the gateway is. */
async function timeStructure(path: string): Promise<{ ms: number; bytes: number }> {
  const times: number[] = [];
  let bytes = 0;
  for (let i = 0; i < structureRuns; i++) {
    const startedMs = performance.now();
    const source = await openFile(path);
    const reader = new SourceReader(source);
    reader.allow(20_000_000, 5000);
    await readStructure(reader, {});
    await source.close();
    times.push(performance.now() - startedMs);
    bytes = reader.bytesRead;
  }
  return { ms: median(times), bytes };
}

/** The delay of the gateway's event loop during a check, in ms: 99th percentile. */
async function loopDelayMs(path: string): Promise<number> {
  const checkPool = new CheckPool({ workers: 1 });
  const resolutionMs = 1;
  const delay = monitorEventLoopDelay({ resolution: resolutionMs });
  delay.enable();
  await checkPool.check({ path }, {});
  delay.disable();
  await checkPool.close();
  return delay.percentile(99) / 1e6 - resolutionMs;
}

/** Runs a program to its end. Gives wall and CPU seconds, and its peak memory. */
function runMeasured(command: string, args: string[]) {
  const startedMs = performance.now();
  const { status, stderr } = spawnSync('/usr/bin/time', ['-f', '%U %S %M', command, ...args], {
    encoding: 'utf8',
  });
  const seconds = (performance.now() - startedMs) / 1000;
  if (status !== 0) throw new Error(`${command} failed: ${stderr}`);
  const [user, system, kilobytes] = stderr.trim().split('\n').at(-1)!.split(' ').map(Number);
  return { seconds, cpu: user! + system!, peakMB: kilobytes! / 1024 };
}

type Figures = Awaited<ReturnType<typeof measure>>;

function describe(figures: Figures[]): string[] {
  const one = (value: number) => value.toFixed(1);
  const structure = figures.map((row) => [
    row.name,
    one(row.structureMs),
    one(row.ffprobeMs),
    `${one(row.ffprobeMs / row.structureMs)}×`,
    `${Math.round(row.structureBytes / 1024)} KiB`,
  ]);
  const whole = figures.map((row) => [
    row.name,
    one(row.checkSeconds),
    `${Math.round(row.timesRealTime)}×`,
    one(row.checkCpu),
    one(row.ffmpegCpu),
    `${(row.checkCpu / row.ffmpegCpu).toFixed(2)}×`,
    row.soxCpu === null ? '' : one(row.soxCpu),
    String(Math.round(row.peakMB)),
    one(row.loopDelayMs),
  ]);
  return [
    'An hour of a stereo call. Structure: the median in a warm process, compared with a spawned `ffprobe`.',
    table(['file', 'structure, ms', 'ffprobe, ms', 'faster', 'read'], structure),
    'The whole check in its own process, including the start of Node, compared with `ffmpeg -af astats` and `sox stat` on the same file: CPU seconds, peak memory, and the 99th percentile of the gateway’s event loop delay meanwhile.',
    table(
      [
        'file',
        'wall, s',
        'real time',
        'CPU, s',
        'ffmpeg CPU, s',
        'ratio',
        'sox CPU, s',
        'peak, MB',
        'loop delay, ms',
      ],
      whole,
    ),
  ];
}
