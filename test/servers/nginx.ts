import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

/** False where there is an nginx, else the reason for a test to be skipped. */
export const withoutNginx: string | false =
  spawnSync('nginx', ['-v']).status === 0 ? false : 'nginx is not installed';

export interface Nginx {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Of the one worker, whose CPU time a benchmark may want. */
  readonly pid: number;
  stop(): Promise<void>;
}

/**
 * A vendor's server on a free port of the loopback: the files below `root`, with ranges, If-Match and
 * strong ETags. An nginx ETag is made of size and modification time in whole seconds, so whoever puts one
 * file in the place of another has to give it another time.
 *
 * @param server more directives for the server block
 */
export async function startNginx(root: string, server = ''): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), 'playhead-nginx-'));
  const port = await freePort();
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr warn;
     events { worker_connections 1024; }
     http {
       access_log off; sendfile on; etag on; default_type application/octet-stream;
       ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${folder}/${of};`).join(' ')}
       server { listen 127.0.0.1:${port}; root ${root}; ${server} }
     }`,
  );
  const nginx = spawn('nginx', ['-p', folder, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = () => nginx.kill('SIGKILL');
  process.once('exit', kill); // of a test that fails before it stops its servers
  let log = '';
  nginx.stderr.on('data', (text) => {
    log += text;
  });
  const url = `http://127.0.0.1:${port}`;
  await until(() => {
    if (nginx.exitCode !== null) throw new Error(`nginx does not start: ${log}`);
    return answers(url);
  });
  return {
    url,
    pid: nginx.pid!,
    async stop() {
      process.off('exit', kill);
      nginx.kill('SIGTERM');
      if (nginx.exitCode === null) await once(nginx, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    (answer) => answer.body?.cancel().then(() => true) ?? true,
    () => false,
  );
}
