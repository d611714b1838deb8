import t from 'tap';
import { Sources } from '../../src/ingest/sources.ts';
import { createMetrics } from '../../src/metrics.ts';
import { openOrigins } from '../../src/origins/open.ts';
import { readConfig } from '../../src/settings/config.ts';
import { collect, pattern } from '../contracts/origin.ts';
import { setEnvironment } from '../environment.ts';
import { serve } from '../servers/serve.ts';

t.test('an object in S3 whose connection breaks is copied whole', async (t) => {
  const bytes = pattern(300_000);
  const ranges: (string | undefined)[] = [];
  const { url } = await serve(t, ({ method, headers }, response) => {
    const common = { etag: '"v1"', 'last-modified': new Date(0).toUTCString() };
    if (method === 'HEAD')
      return response.writeHead(200, { ...common, 'content-length': bytes.length }).end();
    ranges.push(headers.range);
    const first = Number(/\d+/.exec(headers.range ?? ''));
    const range = `bytes ${first}-${bytes.length - 1}/${bytes.length}`;
    response.writeHead(206, { ...common, 'content-range': range, 'content-length': bytes.length - first });
    if (ranges.length > 1) response.end(bytes.subarray(first));
    else response.write(bytes.subarray(0, 100_000), () => response.socket?.end());
  });
  setEnvironment(t, { AWS_ACCESS_KEY_ID: 'testkey', AWS_SECRET_ACCESS_KEY: 'testsecret' });
  const flags = {
    'data-dir': t.testdir(),
    's3-endpoint': url,
    's3-force-path-style': 'true',
    'source-roots': 's3://bucket',
  };
  const origins = await openOrigins(readConfig(flags, {}), createMetrics());
  t.teardown(() => origins.close());
  const sources = new Sources(origins.sources);
  const copy = await collect(await sources.open('s3://bucket/a.wav', new AbortController().signal));
  t.ok(copy.equals(bytes));
  t.same(ranges, ['bytes=0-299999', 'bytes=100000-299999']);
});
