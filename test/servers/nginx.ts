import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../until.ts';
import { freePort } from './free-port.ts';

/** The reason to skip a test, or false if nginx is installed. */
export const withoutNginx: string | false =
  spawnSync('nginx', ['-v']).status === 0 ? false : 'nginx is not installed';

export interface Nginx {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  stop(): Promise<void>;
}

/**
 * Serves the files below `root` on a free port of the loopback address, as a vendor's server: with ranges,
 * If-Match and strong ETags. nginx makes an ETag from the size and the modification time in whole seconds, so
 * a file that replaces another one needs another time.
 *
 * @param server further directives for the server block
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
       ${tempPaths(folder)}
       server { listen 127.0.0.1:${port}; root ${root}; ${server} }
     }`,
  );
  const nginx = spawn('nginx', ['-p', folder, '-c', 'nginx.conf'], { stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = () => nginx.kill('SIGKILL');
  process.once('exit', kill); // for a test that fails before it stops its servers
  let log = '';
  nginx.stderr.on('data', (text) => {
    log += text;
  });
  const url = `http://127.0.0.1:${port}`;
  await until(() => {
    if (nginx.exitCode !== null) throw new Error(`nginx does not start: ${log}`);
    return responds(url);
  });
  return {
    url,
    async stop() {
      process.off('exit', kill);
      nginx.kill('SIGTERM');
      if (nginx.exitCode === null) await once(nginx, 'exit');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function responds(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.body?.cancel().then(() => true) ?? true,
    () => false,
  );
}

/** Directives that keep nginx's temporary files in `folder`, because the default folders need root. */
export function tempPaths(folder: string): string {
  const uses = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return uses.map((use) => `${use}_temp_path ${folder}/nginx-${use};`).join(' ');
}
