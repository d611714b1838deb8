import cluster, { type Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Metrics, type MetricValues, mergeMetrics } from '../metrics.ts';
import type { Config } from '../settings/config.ts';
import { exitCode } from './command.ts';
import { notify, request, respond } from './ipc.ts';

/** A worker that lived shorter than this is replaced after a delay that doubles: its successor may die as well. */
const shortLifeMs = 10_000;
const firstDelayMs = 100;
const maxDelayMs = 10_000;

/** The primary waits this long for the metrics of each worker. */
const valuesTimeoutMs = 1_000;
/** A worker waits this long for the primary's page with the metrics of all workers. */
const pageTimeoutMs = 2_000;

/** The process in which a gateway runs: the only one, or one of several workers. */
export interface Host {
  /** Returns the function that makes the text of `/metrics`. */
  metricsPage(metrics: Metrics): () => Promise<string>;
  /** Writes a sentence for the operator, once for all workers. */
  announce(sentence: string): void;
  /** Calls `stop` at each SIGTERM or SIGINT, or at the primary's request. */
  onStop(stop: () => void): void;
}

/** A process that is the whole gateway. */
export const singleProcess: Host = {
  metricsPage: (metrics) => () => metrics.registry.metrics(),
  announce: (sentence) => void process.stderr.write(sentence),
  onStop(stop) {
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  },
};

/**
 * Runs `count` workers, which are processes of the same command that share its port, and replaces those that
 * die. The first worker starts alone, because it migrates the database. If it cannot start, its exit code is
 * the result. A worker that exits because of its settings is not replaced, since they stay the same.
 *
 * @param limitMs workers that still run this long after SIGTERM or SIGINT are killed
 * @returns the exit code, when every worker has drained after SIGTERM or SIGINT; a second signal kills them
 */
export function runPrimary(count: number, limitMs: number): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  const workers = new Set<Worker>();
  const starting = new Set<Worker>();
  const stopping = new AbortController();
  let isServing = false;
  let shortLives = 0;

  function start(): void {
    const startedAt = performance.now();
    const worker = cluster.fork();
    workers.add(worker);
    starting.add(worker);
    respond(worker, 'page', () => metricsOf(workers));
    worker.once('listening', () => {
      starting.delete(worker);
      if (isServing) return;
      isServing = true;
      for (let started = 1; started < count; started++) start();
    });
    worker.once('exit', (code, signal) => {
      workers.delete(worker);
      starting.delete(worker);
      if (isServing && !stopping.signal.aborted && code === exitCode.usage) {
        process.stderr.write(`Worker ${worker.id} cannot start with these settings. It is not replaced.\n`);
        if (workers.size > 0) return;
        stopping.abort(); // also ends the waits before other replacements
        resolve(code);
      } else if (isServing && !stopping.signal.aborted) {
        shortLives = performance.now() - startedAt < shortLifeMs ? shortLives + 1 : 0;
        const delayMs = shortLives === 0 ? 0 : Math.min(firstDelayMs * 2 ** (shortLives - 1), maxDelayMs);
        process.stderr.write(
          `Worker ${worker.id} exited with ${signal ?? code}. A new worker replaces it.\n`,
        );
        sleep(delayMs, undefined, { signal: stopping.signal }).then(start, () => {});
      } else if (workers.size === 0) {
        resolve(stopping.signal.aborted ? exitCode.done : (code ?? exitCode.failed));
      }
    });
  }

  function killAll(): void {
    for (const worker of workers) worker.process.kill('SIGKILL');
  }

  function stop(): void {
    if (stopping.signal.aborted) {
      killAll();
      process.exit(exitCode.failed);
    }
    stopping.abort();
    setTimeout(killAll, limitMs).unref();
    if (workers.size === 0) resolve(exitCode.done);
    for (const worker of workers) {
      if (starting.has(worker)) worker.process.kill('SIGKILL');
      else disconnect(worker);
    }
  }

  singleProcess.onStop(stop);
  start();
  return promise;
}

/**
 * Disconnects a worker before it closes. A worker that closes on its own can reject a connection just handed to
 * it, and the primary leaks that socket. A worker with open connections sees the disconnect only when the last
 * of them ends, so it is also notified.
 */
function disconnect(worker: Worker): void {
  worker.disconnect();
  notify(worker, 'stop');
}

/**
 * Runs a gateway as one of the workers, with its share of the caches. It ignores signals and stops when the
 * primary says so: a terminal and systemd signal every process, so a worker cannot tell a first signal from a
 * second one.
 */
export async function runWorker(
  config: Config,
  serve: (config: Config, host: Host) => Promise<number>,
): Promise<number> {
  const worker = cluster.worker!;
  singleProcess.onStop(() => {});
  const host: Host = {
    metricsPage({ registry }) {
      // Each worker has its own label. A replaced worker starts from zero, so a sum would jump.
      registry.setDefaultLabels({ worker: String(worker.id) });
      respond(process, 'values', () => registry.getMetricsAsJSON());
      return () => request<string>(process, 'page', pageTimeoutMs);
    },
    announce: (sentence) => void (worker.id === 1 && process.stderr.write(sentence)),
    onStop(stop) {
      const stopped = Promise.withResolvers<void>();
      respond(process, 'stop', async () => stopped.resolve());
      worker.once('disconnect', () => stopped.resolve());
      stopped.promise.then(stop);
    },
  };
  try {
    const share = (bytes: number) => Math.floor(bytes / config.workers);
    // Workers share the folder of blocks. Each reads the blocks of all and keeps its own within its share.
    const { cacheMemory, cacheDisk } = config;
    return await serve({ ...config, cacheMemory: share(cacheMemory), cacheDisk: share(cacheDisk) }, host);
  } finally {
    process.channel?.unref(); // otherwise a worker that could not start lives as long as the primary
  }
}

/** The metrics of all workers that respond in time. */
async function metricsOf(workers: ReadonlySet<Worker>): Promise<string> {
  const responses = await Promise.allSettled(
    [...workers].map((worker) => request<MetricValues>(worker, 'values', valuesTimeoutMs)),
  );
  const values = responses.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
  return mergeMetrics(values);
}
