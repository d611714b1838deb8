import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { type Library, makeLibrary } from './rig/library.ts';
import { load, verify } from './rig/load.ts';
import { busySeconds, cpuSeconds, machine } from './rig/machine.ts';
import { type Serving, startPlayhead } from './rig/peers.ts';
import { median, save, table } from './rig/report.ts';
import { anywhere, type RangeRequest } from './rig/workload.ts';

const rangeBytes = 4096;
const workerCounts = [1, 2];
const rounds = 5;
const seconds = 4;
const accountId = 'bench'; // of peers.ts

interface ScalingWorkload {
  name: string;
  /** The length of the body, or its least length. */
  length: number;
  requests(serving: Serving, library: Library): RangeRequest[];
}

const workloads: ScalingWorkload[] = [
  {
    name: "HubSpot's request for a URL",
    length: 200,
    requests: (_serving, { names }) =>
      names.map((name) => ({
        path: `/retrieve/authenticated/recordings/${name}?externalAccountId=${accountId}`,
      })),
  },
  {
    name: 'a range of 4 KiB',
    length: rangeBytes,
    requests: ({ paths }, { size }) => anywhere({ name: '', length: rangeBytes }, paths, size),
  },
];

interface Sample {
  workload: string;
  workers: number;
  requestsPerSecond: number;
  /** CPU time of the server for one request. */
  microseconds: number;
  /** Cores that the server used, and cores that the load and everything else used. */
  serverCores: number;
  otherCores: number;
}

/**
 * Requests per second with one worker and with two, on a machine of two cores. The load runs on the same cores, so
 * two workers never have both for themselves. The report has the cores of the load and the CPU time of one request,
 * which gives the rate of two workers if the load runs on another machine.
 */
export async function run(): Promise<void> {
  const computeGain = await gainOfTwoProcesses();
  const library = makeLibrary(16);
  const samples: Sample[] = [];
  const running: { workers: number; serving: Serving }[] = [];
  try {
    for (const workers of workerCounts)
      running.push({ workers, serving: await startWorkers(library, workers) });
    for (let round = 0; round <= rounds; round++) {
      for (const { name, length, requests } of workloads) {
        for (const { workers, serving } of running) {
          const before = { server: cpuSeconds(serving), all: busySeconds() };
          const done = await load(serving, library, { name, length }, seconds, requests(serving, library));
          const server = cpuSeconds(serving) - before.server;
          const all = busySeconds() - before.all;
          if (round === 0) continue; // warms caches and the compiler
          samples.push({
            workload: name,
            workers,
            requestsPerSecond: done.requests / done.seconds,
            microseconds: (server / done.requests) * 1e6,
            serverCores: server / done.seconds,
            otherCores: (all - server) / done.seconds,
          });
        }
      }
    }
  } finally {
    for (const { serving } of running) await serving.stop();
    library.remove();
  }

  const figures = workloads.flatMap(({ name }) =>
    workerCounts.map((workers) => figureOf(samples, name, workers)),
  );
  save('scaling', {
    title: 'One worker and two',
    machine: machine(),
    figures,
    text: [
      `16 recordings of 30 MiB in page cache, 16 connections, plain HTTP on loopback; median of ${rounds} runs of ${seconds} s in which
all took turns. The load runs on the same two cores. The last column has the cores of the load and the rest of the machine.`,
      table(
        ['', 'workers', 'requests/s', 'CPU µs a request', 'cores of the server', 'cores of the load'],
        figures.map((figure) => [
          figure.workload,
          String(figure.workers),
          String(Math.round(figure.requestsPerSecond)),
          String(Math.round(figure.microseconds)),
          figure.serverCores.toFixed(2),
          figure.otherCores.toFixed(2),
        ]),
      ),
      `Two processes that only compute do ${computeGain.toFixed(2)} times the work of one on this machine, which is the limit.`,
      ...workloads.map(({ name }) => {
        const [one, two] = figures.filter(({ workload }) => workload === name) as [Sample, Sample];
        const gain = two.requestsPerSecond / one.requestsPerSecond;
        const remoteGain = (2 * one.microseconds) / two.microseconds;
        return `${name}: two workers serve ${gain.toFixed(2)} times the rate of one (aim: at least 1.7). By the CPU time of a request, it is ${remoteGain.toFixed(2)} times if the load runs on another machine.`;
      }),
    ],
  });
}

function figureOf(samples: Sample[], workload: string, workers: number): Sample {
  const own = samples.filter((sample) => sample.workload === workload && sample.workers === workers);
  const of = (key: 'requestsPerSecond' | 'microseconds' | 'serverCores' | 'otherCores') =>
    median(own.map((sample) => sample[key]));
  return {
    workload,
    workers,
    requestsPerSecond: of('requestsPerSecond'),
    microseconds: of('microseconds'),
    serverCores: of('serverCores'),
    otherCores: of('otherCores'),
  };
}

/** Starts a gateway with `workers` workers on every core. Resolves when all serve. */
async function startWorkers(library: Library, workers: number): Promise<Serving> {
  const settings = {
    'source-roots': library.recordings,
    workers: String(workers),
    'retrieve-auth': 'open',
  };
  const urlOf = (name: string) => pathToFileURL(join(library.recordings, name)).href;
  const own = { ...library, folder: join(library.folder, `workers-${workers}`) };
  mkdirSync(own.folder);
  const serving = await startPlayhead(own, { settings, mode: 'copy', urlOf });
  const count = async () => {
    const page = await (await fetch(`${serving.url}/metrics`)).text();
    return page.match(/^playhead_active_streams/gm)?.length;
  };
  for (let tries = 0; (await count()) !== workers; tries++) {
    if (tries === 300) throw new Error(`Not all of ${workers} workers start.`);
    await sleep(100);
  }
  unpin(serving.pid);
  await verify(serving, library);
  return serving;
}

/** The work of two processes that only compute, relative to one alone. Two cores may share their units. */
async function gainOfTwoProcesses(): Promise<number> {
  const script = `const { createHash } = require('node:crypto');
    let done = 0;
    for (const until = Date.now() + 2_000; Date.now() < until; done++) createHash('sha256').update('x').digest('hex');
    process.stdout.write(String(done));`;
  const compute = async () => Number((await promisify(execFile)(process.execPath, ['-e', script])).stdout);
  const gains: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = await compute();
    const [first, second] = await Promise.all([compute(), compute()]);
    gains.push((first + second) / alone);
  }
  return median(gains);
}

/** Lets a server and its workers run on every core. */
function unpin(pid: number): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '0-255', String(pid)], { stdio: 'ignore' });
  for (const child of children) unpin(Number(child));
}
