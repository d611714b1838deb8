import { type ChildProcess, spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ended } from '../processes.ts';
import { until } from '../until.ts';

/** One `playhead serve --workers 2`, which can be stopped and started again. */
export interface Gateway {
  name: string;
  start(): Promise<void>;
  kill(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null>;
  /** Resident bytes of the primary and its workers, at each call of `sample` since the last start. */
  readonly samples: number[];
  sample(): Promise<void>;
}

/** A gateway that is not started yet. Its log is `NAME.log` in `folder`. */
export function gatewayOf(name: string, folder: string, env: NodeJS.ProcessEnv): Gateway {
  const log = join(folder, `${name}.log`);
  const samples: number[] = [];
  let child: ChildProcess | undefined;

  function isReady(): Promise<boolean> {
    return fetch(`http://127.0.0.1:${env.PLAYHEAD_PORT}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }

  return {
    name,
    samples,
    async start() {
      samples.length = 0;
      await mkdir(env.PLAYHEAD_DATA_DIR!, { recursive: true });
      const output = openSync(log, 'a');
      const started = spawn(process.execPath, ['src/cli.ts', 'serve'], {
        env,
        stdio: ['ignore', output, output],
      });
      child = started;
      await until(() => {
        if (started.exitCode === null) return isReady();
        throw new Error(`${name} does not start: ${readFileSync(log, 'utf8')}`);
      }, 60_000);
    },
    async kill(signal) {
      if (!child) return null;
      child.kill(signal);
      return ended(child, 120_000);
    },
    async sample() {
      const sizes = await Promise.all((await processesOf(child!.pid!)).map(residentBytes));
      samples.push(sizes.reduce((sum, size) => sum + size, 0));
    },
  };
}

/** The process and its children. */
async function processesOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return [pid, ...children.split(' ').filter(Boolean).map(Number)];
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
}
