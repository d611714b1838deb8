import cluster, { type Worker } from 'node:cluster';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Metrics, type MetricValues, mergeMetrics } from '../metrics.ts';
import type { Config } from '../settings/config.ts';
import { exit } from './command.ts';

/** A worker that lived shorter than this is replaced ever more slowly: what ended it may end the next one. */
const shortLifeMs = 10_000;
const longestDelayMs = 10_000;

/** How long the values of each worker are waited for, and by the worker that was asked, the page of them all. */
const valuesMs = 1_000;
const pageMs = 2_000;

/** What a gateway needs from the process it runs in. */
export interface Host {
  /** Makes the text of `/metrics`. */
  metricsPage(metrics: Metrics): () => Promise<string>;
  /** Tells whoever started the gateway. */
  announce(sentence: string): void;
  /** Calls `stop` whenever the gateway is asked to end. */
  onStop(stop: () => void): void;
}

/** A process that is the whole gateway. */
export const alone: Host = {
  metricsPage: (metrics) => () => metrics.registry.metrics(),
  announce: (sentence) => void process.stderr.write(sentence),
  onStop(stop) {
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  },
};

/**
 * Runs `count` processes of this same command, which share its port, and replaces those that die. The first
 * one starts alone: it brings the schema up to date, and where it cannot start, its exit code is ours.
 *
 * @param limitMs how long after SIGTERM or SIGINT a worker may still be there, whatever it hangs in
 * @returns the exit code, once every worker has drained after SIGTERM or SIGINT; a second signal ends all at once
 */
export function supervise(count: number, limitMs: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const crew = new Set<Worker>();
  const starting = new Set<Worker>();
  const stopping = new AbortController();
  let isServing = false;
  let shortLives = 0;

  function start(): void {
    const born = performance.now();
    const worker = cluster.fork();
    crew.add(worker);
    starting.add(worker);
    answer(worker, 'page', () => gather(crew));
    worker.once('listening', () => {
      starting.delete(worker);
      if (isServing) return;
      isServing = true;
      for (let started = 1; started < count; started++) start();
    });
    worker.once('exit', (code, signal) => {
      crew.delete(worker);
      starting.delete(worker);
      if (isServing && !stopping.signal.aborted) {
        shortLives = performance.now() - born < shortLifeMs ? shortLives + 1 : 0;
        const delay = shortLives === 0 ? 0 : Math.min(50 * 2 ** shortLives, longestDelayMs);
        process.stderr.write(`Worker ${worker.id} ended with ${signal ?? code}; another takes its place.\n`);
        sleep(delay, undefined, { signal: stopping.signal }).then(start, () => {});
      } else if (crew.size === 0) {
        resolve(stopping.signal.aborted ? exit.done : (code ?? exit.failed));
      }
    });
  }

  function killAll(): void {
    for (const worker of crew) worker.process.kill('SIGKILL');
  }

  function stop(): void {
    if (stopping.signal.aborted) {
      killAll();
      process.exit(exit.failed);
    }
    stopping.abort();
    setTimeout(killAll, limitMs).unref();
    if (crew.size === 0) resolve(exit.done);
    for (const worker of crew) {
      if (starting.has(worker)) worker.process.kill('SIGKILL');
      else {
        // This end first: a worker told to close by itself may refuse a connection that is on its way to it,
        // and the primary then holds that for as long as it lives. A worker hears of this when its last
        // connection has ended; one that has some has to be told.
        worker.disconnect();
        tell(worker, { id: randomUUID(), question: 'stop' }, () => {});
      }
    }
  }

  alone.onStop(stop);
  start();
  return promise;
}

/**
 * Runs a gateway as one of those processes, with its share of the caches. Signals are the primary's business:
 * a terminal and systemd send them to every process, and what is the second to us may be the first to it.
 */
export async function work(
  config: Config,
  serve: (config: Config, host: Host) => Promise<number>,
): Promise<number> {
  const worker = cluster.worker!;
  alone.onStop(() => {});
  const host: Host = {
    metricsPage({ registry }) {
      // Each worker's values stay apart: one that is replaced begins at nought, and a sum would jump.
      registry.setDefaultLabels({ worker: String(worker.id) });
      answer(process, 'values', () => registry.getMetricsAsJSON());
      return () => ask<string>(process, 'page', pageMs);
    },
    announce: (sentence) => void (worker.id === 1 && process.stderr.write(sentence)),
    onStop(stop) {
      const asked = Promise.withResolvers<void>();
      answer(process, 'stop', async () => asked.resolve());
      worker.once('disconnect', () => asked.resolve());
      asked.promise.then(stop);
    },
  };
  try {
    const share = (bytes: number) => Math.floor(bytes / config.workers);
    // The folder of blocks is shared: each reads what any has written, and keeps its own part within bounds.
    const { cacheMemory, cacheDisk } = config;
    return await serve({ ...config, cacheMemory: share(cacheMemory), cacheDisk: share(cacheDisk) }, host);
  } finally {
    process.channel?.unref(); // one that could not start would else stay for as long as the primary does
  }
}

/** The metrics of all workers that answer in time. */
async function gather(crew: ReadonlySet<Worker>): Promise<string> {
  const values = await Promise.allSettled(
    [...crew].map((worker) => ask<MetricValues>(worker, 'values', valuesMs)),
  );
  return mergeMetrics(
    values.flatMap((answered) => (answered.status === 'fulfilled' ? [answered.value] : [])),
  );
}

/** The other end of the channel between the primary and a worker. */
type Peer = Worker | NodeJS.Process;
type Message = { id: string; question: string } | { id: string; answer: unknown };

/** @throws Error where the other process is gone, or says nothing for `ms` */
async function ask<T>(peer: Peer, question: string, ms: number): Promise<T> {
  const id = randomUUID();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const hear = (message: Message) => {
    if (message.id === id && 'answer' in message) resolve(message.answer as T);
  };
  const limit = setTimeout(() => reject(new Error(`No answer to "${question}" within ${ms} ms.`)), ms);
  peer.on('message', hear);
  try {
    tell(peer, { id, question }, reject);
    return await promise;
  } finally {
    clearTimeout(limit);
    peer.off('message', hear);
  }
}

/** Where nothing can be said, or nobody hears it any more, the asker's own limit ends the matter. */
function answer(peer: Peer, question: string, give: () => Promise<unknown>): void {
  peer.on('message', (message: Message) => {
    if (!('question' in message) || message.question !== question) return;
    give().then(
      (said) => tell(peer, { id: message.id, answer: said }, () => {}),
      () => {},
    );
  });
}

function tell(peer: Peer, message: Message, failed: (error: Error) => void): void {
  peer.send!(message, undefined, undefined, (error: Error | null) => error && failed(error));
}
