import { get, type IncomingMessage } from 'node:http';
import t from 'tap';
import { longRecording, startGateway } from '../gateway.ts';
import { until } from '../until.ts';

const gateway = await startGateway(t);

t.test('/healthz returns ok and the version', async (t) => {
  t.match(await (await fetch(`${gateway.url}/healthz`)).json(), { status: 'ok', version: /^\d+\.\d+\.\d+$/ });
});

t.test('/readyz reports the database, and is 503 if it is out of reach', async (t) => {
  t.match(await (await fetch(`${gateway.url}/readyz`)).json(), { database: 'ok' });
  const broken = await startGateway(t);
  await broken.parts.db.close();
  t.equal((await fetch(`${broken.url}/readyz`)).status, 503);
});

t.test('/metrics counts requests by route and bytes by kind, and names no recording', async (t) => {
  const url = await gateway.streamOf('inbound-caller1.wav', { accountId: 'secret-account' });
  await (await fetch(url, { headers: { range: 'bytes=0-99' } })).arrayBuffer();
  await fetch(`${gateway.url}/stream/wrong`);
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  t.match(text, /playhead_requests_total\{route="\/stream\/:token",status="206"\} 1/);
  t.match(text, /playhead_stream_bytes_total\{kind="range"\} 100/);
  t.match(text, /playhead_refusals_total\{code="invalid_token"\} 1/);
  t.notMatch(text, 'secret-account');
  t.notMatch(text, url.slice(-43));
});

t.test('/metrics counts an aborted response exactly once', async (t) => {
  const { url, parts, streamOf } = await startGateway(t);
  const played = await streamOf(await longRecording(24));
  const response = await new Promise<IncomingMessage>((resolve) => get(played, resolve));
  response.on('error', () => {}).destroy();
  const counted = /playhead_requests_total\{route="\/stream\/:token",status="200"\} (\d+)/;
  const count = async () => counted.exec(await parts.metricsPage())?.[1];
  await until(async () => (await count()) !== undefined);
  await fetch(`${url}/healthz`);
  t.equal(await count(), '1');
});

t.test('/openapi.json describes every public route', async (t) => {
  const { paths } = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { security?: unknown[] }>>;
  };
  for (const path of [
    '/stream/{token}',
    '/v1/recordings',
    '/v1/recordings/{accountId}/{externalId}',
    '/v1/recordings/{accountId}/{externalId}/url',
    '/v1/recordings/{accountId}/{externalId}/revoke',
    '/v1/check',
    '/k/{accessKey}/retrieve/authenticated/recordings/{externalId}',
  ]) {
    t.ok(path in paths, path);
  }
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { security }] of Object.entries(methods)) {
      const keys = path.startsWith('/v1/') ? [{ apiKey: [] }] : undefined;
      t.same(security, keys, `${method} ${path} ${keys ? 'requires' : 'does not require'} the API key`);
    }
  }
});

t.test('/docs is a page about the API that no other page can frame', async (t) => {
  const page = await fetch(`${gateway.url}/docs`);
  t.match(page.headers.get('content-security-policy'), /frame-ancestors 'none'/);
  t.equal(page.status, 200);
  t.match(page.headers.get('content-type'), 'text/html');
});

t.test('an unknown path gets a problem', async (t) => {
  const response = await fetch(`${gateway.url}/nothing`);
  t.equal(response.status, 404);
  t.match(response.headers.get('content-type'), 'application/problem+json');
});
