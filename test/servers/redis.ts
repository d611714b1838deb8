import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

/** The reason to skip a test, or false if Redis is installed. */
export const withoutRedis: string | false =
  spawnSync('redis-server', ['--version']).status === 0 ? false : 'redis-server is not installed';

export interface RedisServer {
  /** `redis://127.0.0.1:PORT`, the same after `stop` and `start`. */
  readonly url: string;
  /** Starts without data. */
  start(): Promise<void>;
  stop(): Promise<void>;
  /** While it is frozen, it accepts connections and does not respond. */
  freeze(isFrozen: boolean): void;
}

/** Starts a Redis server on a free port of the loopback address. It keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-redis-'));
  const port = await freePort();
  const options = { bind: '127.0.0.1', port, dir: folder, save: '', appendonly: 'no', logfile: 'log' };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  let server: ChildProcess | undefined;

  const start = async () => {
    await mkdir(folder, { recursive: true });
    const started = spawn('redis-server', args, { stdio: 'ignore' });
    server = started;
    await until(() => {
      if (started.exitCode !== null) throw new Error('redis-server does not start');
      return isListening(port);
    });
  };
  await start();
  return {
    url: `redis://127.0.0.1:${port}`,
    start,
    async stop() {
      if (server?.exitCode === null && server.signalCode === null) {
        server.kill('SIGKILL');
        await once(server, 'exit');
      }
      await rm(folder, { recursive: true, force: true });
    },
    freeze: (isFrozen) => void server?.kill(isFrozen ? 'SIGSTOP' : 'SIGCONT'),
  };
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  const result = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return result;
}
