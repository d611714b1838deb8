import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempPaths } from '../../test/servers/nginx.ts';
import { type Running, serverCore, startPinned } from './machine.ts';

/**
 * Starts nginx with one worker.
 *
 * @param folder for its own files
 * @param http directives for the http block
 */
export function startNginx(folder: string, http: string, core = serverCore): Running {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  // On loopback, tcp_nopush would delay the end of each response by 40 ms.
  const config = `
    daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
    worker_rlimit_nofile 16384; events { worker_connections 8192; }
    http {
      access_log off; sendfile on; tcp_nopush off; keepalive_requests 100000000; default_type application/octet-stream;
      ${tempPaths(folder)}
      ${http}
    }`;
  writeFileSync(file, config);
  return startPinned(['nginx', '-c', file, '-e', join(folder, 'error.log')], {}, core);
}
