import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { makeLibrary } from './rig/library.ts';
import { load, verify } from './rig/load.ts';
import { cpuSeconds, machine } from './rig/machine.ts';
import { type Serving, startPlayhead } from './rig/peers.ts';
import { median, save, table } from './rig/report.ts';

const workload = { name: '4 KiB', length: 4096 };
const crews = [1, 2];
const rounds = 5;
const seconds = 4;

interface Sample {
  workers: number;
  requestsPerSecond: number;
  cpuMicroseconds: number;
}

/** Requests a second with one worker and with two, on a machine of two cores that the load shares. */
export async function run(): Promise<void> {
  const library = makeLibrary(16);
  const samples: Sample[] = [];
  const running: { workers: number; serving: Serving }[] = [];
  try {
    for (const workers of crews) {
      const settings = { 'source-roots': library.recordings, workers: String(workers) };
      const urlOf = (name: string) => pathToFileURL(join(library.recordings, name)).href;
      const apart = { ...library, folder: join(library.folder, `crew-${workers}`) };
      mkdirSync(apart.folder);
      const serving = await startPlayhead(apart, { settings, mode: 'copy', urlOf });
      running.push({ workers, serving });
      await sleep(3_000); // until the last worker listens
      unpin(serving.pid);
      await verify(serving, library);
    }
    for (let round = 0; round <= rounds; round++) {
      for (const { workers, serving } of running) {
        const before = cpuSeconds(serving);
        const { requests, seconds: took } = await load(serving, library, workload, seconds);
        if (round === 0) continue; // warms caches and the compiler
        samples.push({
          workers,
          requestsPerSecond: requests / took,
          cpuMicroseconds: ((cpuSeconds(serving) - before) / requests) * 1e6,
        });
      }
    }
  } finally {
    for (const { serving } of running) await serving.stop();
    library.remove();
  }

  const figures = crews.map((workers) => {
    const own = samples.filter((sample) => sample.workers === workers);
    return {
      workers,
      requestsPerSecond: Math.round(median(own.map((sample) => sample.requestsPerSecond))),
      cpuMicroseconds: Math.round(median(own.map((sample) => sample.cpuMicroseconds))),
    };
  });
  const gain = figures[1]!.requestsPerSecond / figures[0]!.requestsPerSecond;
  save('scaling', {
    title: 'One worker and two',
    machine: machine(),
    figures,
    text: [
      `Random ranges of ${workload.name} out of 16 recordings of 30 MiB in page cache, 16 connections, plain HTTP on loopback.
The load runs on the same two cores and takes its part of the second; median of ${rounds} runs of ${seconds} s in which both took turns.`,
      table(
        ['workers', 'requests/s', 'CPU µs a request'],
        figures.map(({ workers, requestsPerSecond, cpuMicroseconds }) =>
          [workers, requestsPerSecond, cpuMicroseconds].map(String),
        ),
      ),
      `Two workers answer ${gain.toFixed(2)} times what one does (aim: at least 1.7).`,
    ],
  });
}

/** Lets a server and its workers run on every core. */
function unpin(pid: number): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '0-255', String(pid)], { stdio: 'ignore' });
  for (const child of children) unpin(Number(child));
}
