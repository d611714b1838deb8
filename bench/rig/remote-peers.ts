import { join } from 'node:path';
import { freePort } from '../../test/servers/free-port.ts';
import type { Library } from './library.ts';
import { startPinned } from './machine.ts';
import { startNginx } from './nginx.ts';
import { type Serving, type Sources, served, startPlayhead } from './peers.ts';
import type { S3 } from './s3.ts';

/** A way to serve a library in S3. To add one, add it to `remotePeers`. */
export interface RemotePeer {
  name: string;
  start(library: Library, s3: S3): Promise<Serving>;
}

/** For the SDK's credential chain. nginx accepts any; radosgw those of the environment. */
const credentials = { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret', ...process.env };

const playhead: RemotePeer = {
  name: 'Playhead',
  start: (library, s3) => startPlayhead(library, inS3(s3)),
};

const playheadSmall: RemotePeer = {
  name: 'Playhead, 40 MB for blocks',
  start: (library, s3) => startPlayhead(library, inS3(s3), { 'cache-memory': '40MB' }),
};

const nginxProxy: RemotePeer = {
  name: 'nginx proxy_pass',
  start: (library, s3) => startProxy(library, s3, 'nginx-proxy', '', ''),
};

const nginxSlice: RemotePeer = {
  name: 'nginx slice + proxy_cache',
  start(library, s3) {
    const path = join(library.folder, 'nginx-slice', 'cache');
    return startProxy(
      library,
      s3,
      'nginx-slice',
      `proxy_cache_path ${path} keys_zone=slices:10m max_size=256m use_temp_path=off;`,
      `slice 1m; proxy_cache slices; proxy_cache_key $uri$slice_range; proxy_cache_valid 200 206 1h;
       proxy_set_header Range $slice_range;`,
    );
  },
};

const sdkPipe: RemotePeer = {
  name: 'AWS SDK piped',
  async start({ names }, { endpoint, bucket }) {
    const port = await freePort();
    const script = new URL('./sdk-pipe.ts', import.meta.url).pathname;
    const command = [process.execPath, script, endpoint, bucket, String(port)];
    return served(startPinned(command, { env: credentials }), port, names);
  },
};

export const remotePeers = { playhead, playheadSmall, nginxProxy, nginxSlice, sdkPipe };

function inS3({ endpoint, bucket }: S3): Sources {
  const settings = {
    's3-endpoint': endpoint,
    's3-region': 'us-east-1',
    's3-force-path-style': 'true',
    'source-roots': `s3://${bucket}`,
  };
  return { settings, env: credentials, mode: 'proxy', urlOf: (name) => `s3://${bucket}/${name}` };
}

async function startProxy(
  library: Library,
  { endpoint, bucket }: S3,
  name: string,
  http: string,
  location: string,
): Promise<Serving> {
  const port = await freePort();
  const config = `${http}
    upstream s3 { server ${new URL(endpoint).host}; keepalive 64; keepalive_requests 100000000; }
    server {
      listen 127.0.0.1:${port};
      location / {
        proxy_pass http://s3/${bucket}/; proxy_http_version 1.1; proxy_set_header Connection "";
        ${location}
      }
    }`;
  return served(startNginx(join(library.folder, name), config), port, library.names);
}
