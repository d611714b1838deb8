import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Running, serverCore, startPinned } from './machine.ts';

/**
 * nginx with one worker.
 *
 * @param folder for its files; nothing else's
 * @param http directives for the http block
 */
export function startNginx(folder: string, http: string, core = serverCore): Running {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'nginx.conf');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (use) => `${use}_temp_path ${folder}/${use};`,
  );
  // tcp_nopush would hold the tail of each answer back for 40 ms on loopback.
  const config = `
    daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
    worker_rlimit_nofile 16384; events { worker_connections 8192; }
    http {
      access_log off; sendfile on; tcp_nopush off; keepalive_requests 100000000; default_type application/octet-stream;
      ${temporary.join(' ')}
      ${http}
    }`;
  writeFileSync(file, config);
  return startPinned(['nginx', '-c', file, '-e', join(folder, 'error.log')], {}, core);
}
