import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

/** Servers are pinned to the first core and the load to the second, so that neither takes the other's time. */
export const serverCore = 0;
export const loadCore = availableParallelism() > 1 ? 1 : 0;

/** What else the machine was doing: a busy one makes every figure worse, and ratios less certain. */
const loadAtStart = Number(loadavg()[0]!.toFixed(1));

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** A server under measurement. */
export interface Running {
  pid: number;
  stop(): Promise<void>;
}

/** Starts a program on one core. Its own output is dropped, unless `stdio` says otherwise. */
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

/** Keeps this process to the core of the load. */
export function pinSelf(): void {
  const command = ['-acp', String(loadCore), String(process.pid)];
  // A thread that ends just then makes taskset give up.
  for (let tries = 1; spawnSync('taskset', command).status !== 0; tries++) {
    if (tries === 10) throw new Error(`taskset ${command.join(' ')} fails.`);
  }
}

/** Resolves when something answers HTTP at `url`. */
export async function answering(url: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const answered = await fetch(url, { method: 'HEAD' }).then(
      () => true,
      () => false,
    );
    if (answered) return;
    await sleep(100);
  }
  throw new Error(`Nothing answers at ${url}.`);
}

/** The process and all that descend from it: nginx works in children. */
function family(pid: number): number[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === pid)
    .map(Number);
  return [pid, ...children.flatMap(family)];
}

/** The fields of /proc/PID/stat from the third on; the second may hold spaces. */
function statOf(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return []; // it has ended
  }
}

function parentOf(pid: number): number {
  return Number(statOf(pid)[1]);
}

/** Seconds of CPU, user and system, that a server has taken so far. */
export function cpuSeconds({ pid }: Running): number {
  const ticks = family(pid).map((member) => {
    const stat = statOf(member);
    return Number(stat[11]) + Number(stat[12]);
  });
  return ticks.reduce((sum, each) => sum + each, 0) / ticksPerSecond;
}

/** Seconds of CPU that the whole machine has been at work, on all cores. */
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

/** Bytes of memory that a server holds now. */
export function residentBytes({ pid }: Running): number {
  return memoryBytes(pid, 'VmRSS');
}

/** Bytes of memory that a server held at most since it began, or since `forgetPeak`. */
export function peakBytes({ pid }: Running): number {
  return memoryBytes(pid, 'VmHWM');
}

export function forgetPeak({ pid }: Running): void {
  for (const member of family(pid)) writeFileSync(`/proc/${member}/clear_refs`, '5');
}

function memoryBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const sizes = family(pid).map((member) => {
    const status = readFileSync(`/proc/${member}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024;
  });
  return sizes.reduce((sum, each) => sum + each, 0);
}

function versionOf(command: string, ...args: string[]): string {
  try {
    // nginx and wrk say their version on standard error, and wrk ends with 1 for it.
    const said = execFileSync('sh', ['-c', `${command} ${args.join(' ')} 2>&1 || true`], {
      encoding: 'utf8',
    });
    return /\d+\.\d+(\.\d+)?/.exec(said)?.[0] ?? 'unknown';
  } catch {
    return 'missing';
  }
}

/** What a figure has to be read with. */
export function machine(): Record<string, string | number> {
  const governed = cpus()[0]!;
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: availableParallelism(),
    cpu: governed.model.trim(),
    loadAtStart,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    linux: release(),
    node: process.versions.node,
    nginx: versionOf('nginx', '-v'),
    wrk: versionOf('wrk', '-v'),
  };
}
