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
import { type Ask, anywhere } from './rig/workload.ts';

const lengthOfRange = 4096;
const crews = [1, 2];
const rounds = 5;
const seconds = 4;
const accountId = 'bench'; // of peers.ts

/** What is asked; the length is that of the body, or the least it may have. */
const workloads: { name: string; length: number; asks(serving: Serving, library: Library): Ask[] }[] = [
  {
    name: "HubSpot's question for a URL",
    length: 200,
    asks: (_serving, { names }) =>
      names.map((name) => ({
        path: `/retrieve/authenticated/recordings/${name}?externalAccountId=${accountId}`,
      })),
  },
  {
    name: 'a range of 4 KiB',
    length: lengthOfRange,
    asks: ({ paths }, { size }) => anywhere({ name: '', length: lengthOfRange }, paths, size),
  },
];

interface Sample {
  workload: string;
  workers: number;
  requestsPerSecond: number;
  /** CPU of the server for one request. */
  microseconds: number;
  /** Of the machine, how much the server had, and how much the load and everything else took. */
  serverCores: number;
  otherCores: number;
}

/**
 * Requests a second with one worker and with two, on a machine of two cores. The load comes from these same cores,
 * so that two workers never have both to themselves: what it took is measured and said, and so is what one request
 * costs the server, from which follows what two workers answer when the load comes from elsewhere.
 */
export async function run(): Promise<void> {
  const most = await ceiling();
  const library = makeLibrary(16);
  const samples: Sample[] = [];
  const running: { workers: number; serving: Serving }[] = [];
  try {
    for (const workers of crews) running.push({ workers, serving: await startCrew(library, workers) });
    for (let round = 0; round <= rounds; round++) {
      for (const { name, length, asks } of workloads) {
        for (const { workers, serving } of running) {
          const before = { server: cpuSeconds(serving), all: busySeconds() };
          const done = await load(serving, library, { name, length }, seconds, asks(serving, library));
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

  const figures = workloads.flatMap(({ name }) => crews.map((workers) => figureOf(samples, name, workers)));
  save('scaling', {
    title: 'One worker and two',
    machine: machine(),
    figures,
    text: [
      `16 recordings of 30 MiB in page cache, 16 connections, plain HTTP on loopback; median of ${rounds} runs of ${seconds} s in which
everything took turns. The load runs on the same two cores: the last column is what it took of them, with the rest of the machine.`,
      table(
        ['', 'workers', 'requests/s', 'CPU µs a request', 'cores the server had', 'cores the load had'],
        figures.map((figure) => [
          figure.workload,
          String(figure.workers),
          String(Math.round(figure.requestsPerSecond)),
          String(Math.round(figure.microseconds)),
          figure.serverCores.toFixed(2),
          figure.otherCores.toFixed(2),
        ]),
      ),
      `Two processes that only compute get ${most.toFixed(2)} times as much done as one here: the cores are no more than that.`,
      ...workloads.map(({ name }) => {
        const [one, two] = figures.filter(({ workload }) => workload === name) as [Sample, Sample];
        const gain = two.requestsPerSecond / one.requestsPerSecond;
        const apart = (2 * one.microseconds) / two.microseconds;
        return `Of ${name}, two workers answer ${gain.toFixed(2)} times what one does (aim: at least 1.7); by what a request costs them, ${apart.toFixed(2)} times where the load comes from another machine.`;
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

/** A gateway of so many workers, all of which serve, on every core. */
async function startCrew(library: Library, workers: number): Promise<Serving> {
  const settings = {
    'source-roots': library.recordings,
    workers: String(workers),
    'retrieve-auth': 'open',
  };
  const urlOf = (name: string) => pathToFileURL(join(library.recordings, name)).href;
  const apart = { ...library, folder: join(library.folder, `crew-${workers}`) };
  mkdirSync(apart.folder);
  const serving = await startPlayhead(apart, { settings, mode: 'copy', urlOf });
  const count = async () => {
    const page = await (await fetch(`${serving.url}/metrics`)).text();
    return page.match(/^playhead_active_streams/gm)?.length;
  };
  for (let tries = 0; (await count()) !== workers; tries++) {
    if (tries === 300) throw new Error(`Of ${workers} workers not all come.`);
    await sleep(100);
  }
  unpin(serving.pid);
  await verify(serving, library);
  return serving;
}

/** What two processes that only compute get done beside each other, of what one does alone: cores may share their units. */
async function ceiling(): Promise<number> {
  const script = `const { createHash } = require('node:crypto');
    let done = 0;
    for (const until = Date.now() + 2_000; Date.now() < until; done++) createHash('sha256').update('x').digest('hex');
    process.stdout.write(String(done));`;
  const compute = async () => Number((await promisify(execFile)(process.execPath, ['-e', script])).stdout);
  const gains: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = await compute();
    const [one, other] = await Promise.all([compute(), compute()]);
    gains.push((one + other) / alone);
  }
  return median(gains);
}

/** Lets a server and its workers run on every core. */
function unpin(pid: number): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', '0-255', String(pid)], { stdio: 'ignore' });
  for (const child of children) unpin(Number(child));
}
