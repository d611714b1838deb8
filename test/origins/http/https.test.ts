import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { setDefaultCACertificates, type TLSSocket } from 'node:tls';
import t from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { HttpOrigin } from '../../../src/origins/http/http.ts';
import { codeOf, collect, pattern } from '../../contracts/origin.ts';
import { listen } from '../../servers/serve.ts';

const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not installed';

t.test(
  'https connects to the address that was looked up, and the certificate must be that of the name',
  { skip },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'playhead-https-'));
    t.teardown(() => rm(folder, { recursive: true }));
    const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
    const request =
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test';
    const names = ['-addext', 'subjectAltName=DNS:vendor.example'];
    execFileSync('openssl', [...request.split(' '), ...names, '-keyout', keyFile, '-out', certFile], {
      stdio: 'ignore',
    });
    const cert = await readFile(certFile, 'utf8');

    const recording = pattern(3 * 1024 * 1024);
    const serverNames: (string | false | null)[] = [];
    const server = createServer(
      { key: await readFile(keyFile), cert },
      ({ socket, headers, url }, response) => {
        serverNames.push((socket as TLSSocket).servername);
        response.end(url === '/call.wav' ? recording : headers.host);
      },
    );
    let connections = 0;
    server.on('secureConnection', () => connections++);
    const { port } = await listen(t, server);
    let lookups = 0;
    const http = new HttpOrigin({
      allowedHosts: [`vendor.example:${port}`, `other.example:${port}`],
      credentials: new Map(),
      maxBytes: recording.length,
      fetchTimeoutMs: 5000,
      stallTimeoutMs: 2000,
      metrics: createMetrics(),
      resolve: async () => {
        lookups++;
        return [{ address: '127.0.0.1', family: 4 }];
      },
    });
    t.teardown(() => http.close());
    const fetched = async (host: string) =>
      String(await collect(await http.fetchWhole(`https://${host}:${port}/`, new AbortController().signal)));

    t.equal(
      await codeOf(fetched('vendor.example')),
      'origin_unavailable',
      'a certificate from an unknown authority',
    );
    setDefaultCACertificates([cert]);
    lookups = connections = 0;
    t.equal(await fetched('vendor.example'), `vendor.example:${port}`);
    t.equal(await fetched('vendor.example'), `vendor.example:${port}`);
    t.ok(connections > 0 && lookups === connections, 'one look-up for each connection');
    t.same(serverNames, ['vendor.example', 'vendor.example']);
    t.equal(await codeOf(fetched('other.example')), 'origin_unavailable', 'a certificate of another name');
    t.equal(serverNames.length, 2, 'no request was sent to it');

    // Several TLS records arrive at once, and are all decrypted even if the reader is not ready.
    const url = `https://vendor.example:${port}/call.wav`;
    let at = 0;
    for await (const chunk of await http.fetchWhole(url, new AbortController().signal)) {
      await turn();
      if (!recording.subarray(at, at + chunk.length).equals(chunk)) return t.fail(`wrong bytes at ${at}`);
      at += chunk.length;
    }
    t.equal(at, recording.length, 'a slow reader gets every byte');
  },
);
