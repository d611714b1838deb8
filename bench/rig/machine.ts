import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Servers run on the first core and the load on the second, so that neither slows the other. */
export const serverCore = 0;
export const loadCore = availableParallelism() > 1 ? 1 : 0;

/** Load of the machine before the run. A busy machine makes figures worse and ratios less certain. */
const loadAtStart = Number(loadavg()[0]!.toFixed(1));

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A server under measurement. */
export interface Running {
  pid: number;
  stop(): Promise<void>;
}

/** Starts a program on one core. Its output is dropped unless `options.stdio` is given. */
export function startPinned(command: string[], options: SpawnOptions = {}, core = serverCore): Running {
  const child = spawn('taskset', ['-c', String(core), ...command], { stdio: 'ignore', ...options });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    pid: child.pid!,
    async stop() {
      child.kill('SIGTERM');
      const deadline = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(deadline);
    },
  };
}

/** Pins this process to the core of the load. */
export function pinSelf(): void {
  const command = ['-acp', String(loadCore), String(process.pid)];
  // taskset fails if a thread ends meanwhile.
  for (let tries = 1; spawnSync('taskset', command).status !== 0; tries++) {
    if (tries === 10) throw new Error(`taskset ${command.join(' ')} fails.`);
  }
}

/** Resolves when a server responds at `url`. */
export async function untilResponding(url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const responds = await fetch(url, { method: 'HEAD' }).then(
      () => true,
      () => false,
    );
    if (responds) return;
    await sleep(100);
  }
  throw new Error(`No server responds at ${url}.`);
}

/** The process and its descendants, because nginx works in children. */
function processesOf(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === pid)
    .map(Number);
  return [pid, ...children.flatMap(processesOf)];
}

/** The fields of /proc/PID/stat from the third on. The second may contain spaces. */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return []; // the process has ended
  }
}

function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

/** CPU seconds of a server so far, user and system. */
export function cpuSeconds({ pid }: Running): number {
  const ticks = processesOf(pid).map((member) => {
    const stat = statOf(member);
    return Number(stat[11]) + Number(stat[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / ticksPerSecond;
}

/** CPU seconds of the whole machine so far, on all cores. */
export function busySeconds(): number {
  const times = readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/).slice(1).map(Number);
  const [user, nice, system, _idle, _iowait, irq, softirq] = times as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return (user + nice + system + irq + softirq) / ticksPerSecond;
}

/** Resident bytes of a server now. */
export function residentBytes({ pid }: Running): number {
  return memoryBytes(pid, 'VmRSS');
}

/** The most resident bytes of a server since its start or since `forgetPeak`. */
export function peakBytes({ pid }: Running): number {
  return memoryBytes(pid, 'VmHWM');
}

export function forgetPeak({ pid }: Running): void {
  for (const member of processesOf(pid)) writeFileSync(`/proc/${member}/clear_refs`, '5');
}

function memoryBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const sizes = processesOf(pid).map((member) => {
    const status = readFileSync(`/proc/${member}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024;
  });
  return sizes.reduce((sum, each) => sum + each, 0);
}

function versionOf(command: string, ...args: string[]): string {
  try {
    // nginx and wrk print their version to standard error, and wrk exits with 1.
    const output = execFileSync('sh', ['-c', `${command} ${args.join(' ')} 2>&1 || true`], {
      encoding: 'utf8',
    });
    return /\d+\.\d+(\.\d+)?/.exec(output)?.[0] ?? 'unknown';
  } catch {
    return 'missing';
  }
}

/** The machine and versions that a figure belongs to. */
export function machine(): Record<string, string | number> {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: availableParallelism(),
    cpu: cpu!.model.trim(),
    loadAtStart,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    linux: release(),
    node: process.versions.node,
    nginx: versionOf('nginx', '-v'),
    wrk: versionOf('wrk', '-v'),
  };
}
