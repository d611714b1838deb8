import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tempPaths } from '../servers/nginx.ts';
import { until } from '../until.ts';

/** Starts nginx with deploy/nginx.conf, on other ports and with its log in `folder`. */
export async function startBalancer(folder: string, port: number, gateways: number[]): Promise<ChildProcess> {
  const config = readFileSync(new URL('../../deploy/nginx.conf', import.meta.url), 'utf8')
    .replace('gateway-1:8080', `127.0.0.1:${gateways[0]}`)
    .replace('gateway-2:8080', `127.0.0.1:${gateways[1]}`)
    .replace('listen 8080', `listen 127.0.0.1:${port}`)
    .replace('/dev/stdout routes', `${folder}/access.log routes`)
    .replace('http {', `http { ${tempPaths(folder)}`);
  await writeFile(join(folder, 'nginx.conf'), config);
  const directives = `daemon off; pid ${folder}/nginx.pid;`;
  const nginx = spawn('nginx', ['-p', folder, '-c', 'nginx.conf', '-g', directives], { stdio: 'ignore' });
  await until(async () => (await readdir(folder)).includes('nginx.pid'));
  return nginx;
}
