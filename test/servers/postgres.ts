import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from '../until.ts';

export interface PostgresServer {
  readonly url: string;
  /** Closes every connection. Committed data is there again after `start`. */
  stop(): Promise<void>;
  start(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts a Postgres server on loopback with postgres.sh. */
export async function startPostgres(port: number): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-postgres-'));
  const script = new URL('./postgres.sh', import.meta.url).pathname;
  const start = async () => {
    const { stdout } = await promisify(execFile)('sh', [script, folder, String(port)]);
    return stdout.trim();
  };
  const stop = async () => {
    const pid = Number(await readFile(join(folder, 'pid'), 'utf8'));
    process.kill(pid, 'SIGINT'); // fast shutdown, which closes every connection
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
