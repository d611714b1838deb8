import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../until.ts';

/** False where there is a Postgres, else the reason for a test to be skipped. */
export const withoutPostgres: string | false = existsSync('/usr/lib/postgresql')
  ? false
  : 'postgresql is not installed';

export interface PostgresServer {
  readonly url: string;
  /** Breaks every connection; what was committed is there after `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** A Postgres of its own on the loopback, started, by postgres.sh. */
export async function startPostgres(port: number): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-postgres-'));
  const script = new URL('./postgres.sh', import.meta.url).pathname;
  const start = async () => {
    const { stdout } = await promisify(execFile)('sh', [script, folder, String(port)]);
    return stdout.trim();
  };
  const stop = async () => {
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    process.kill(pid, 'SIGINT'); // "fast": whoever is connected is thrown out
    await until(() => !existsSync(join(folder, 'data/postmaster.pid')));
  };
  return {
    url: await start(),
    stop,
    start: async () => void (await start()),
    async remove() {
      await stop();
      await rm(folder, { recursive: true });
    },
  };
}
