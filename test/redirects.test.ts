import { readFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { examine } from '../src/doctor/doctor.ts';
import { createMetrics } from '../src/metrics.ts';
import { S3Store } from '../src/origins/s3/s3.ts';
import { requestAuthenticatedUrl } from '../src/sandbox/authenticated-url.ts';
import { startChromium, withoutChromium } from './chromium.ts';
import { codeOf, readAll } from './contracts/origin.ts';
import { setEnvironment } from './environment.ts';
import { serve } from './servers/serve.ts';
import { until } from './until.ts';

// A request with a secret follows no redirect. test/hubspot/redirects.test.ts has HubSpot's API, and
// test/origins/http/http.test.ts the vendors, whose credentials stay at their host.

/** A server that redirects each request to another one, and what both receive. */
async function redirecting(t: Test, status = 307) {
  const there: string[] = [];
  const here: string[] = [];
  const { url: elsewhere } = await serve(t, ({ method, url, headers }, response) => {
    there.push(`${method} ${url} ${JSON.stringify(headers)}`);
    const any = { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' };
    response.writeHead(200, any).end('{}');
  });
  const { url } = await serve(t, (request, response) => {
    here.push(`${request.method} ${request.url}`);
    request.resume();
    response.writeHead(status, { location: `${elsewhere}${request.url}` }).end();
  });
  return { url, here, there };
}

t.test('S3: signed URLs, audio and the requests of the SDK', async (t) => {
  setEnvironment(t, { AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'se-cret' });
  for (const status of [301, 302, 307, 308]) {
    const { url: endpoint, here, there } = await redirecting(t, status);
    const store = new S3Store({
      bucket: 'bucket',
      endpoint,
      region: 'eu-central-1',
      forcePathStyle: true,
      stallTimeoutMs: 10_000,
      metrics: createMetrics(),
    });
    t.teardown(() => store.close());
    const read = readAll(store, 'a.wav', { first: 0, last: 9 }, { etag: '"v1"', size: 10 });
    t.equal(await codeOf(read), 'origin_failed', `${status} to a read`);
    t.equal(await codeOf(store.stat('a.wav')), 'origin_failed', `${status} to a look-up`);
    const audio = (async function* () {
      yield Buffer.alloc(100);
    })();
    t.equal(await codeOf(store.write('a.wav', audio)), 'origin_failed', `${status} to a write`);
    t.equal(await codeOf(store.remove('a.wav')), 'origin_failed', `${status} to a removal`);
    t.ok(here.length >= 4);
    t.same(there, []);
  }
});

t.test('the sandbox: its signature and the access key', async (t) => {
  const { url, here, there } = await redirecting(t);
  const call = { properties: { hs_call_external_id: 'call' } } as never;
  const request = requestAuthenticatedUrl(`${url}/access-key/%s`, call, { clientSecret: 'se-cret' });
  t.match(await request.catch((error) => error.message), /returned 307/);
  t.equal(here.length, 1);
  t.same(there, []);
});

t.test('the doctor: the access key', async (t) => {
  const { url, here, there } = await redirecting(t);
  const { met } = await examine({ url: `${url}/access-key/%s`, externalId: 'call' });
  t.equal(met, false);
  t.equal(here.length, 1);
  t.same(there, []);
});

t.test('the console: the API key and an upload', { skip: withoutChromium }, async (t) => {
  const { url: redirector, here, there } = await redirecting(t);
  const { url } = await serve(t, async (request, response) => {
    const name = /^\/console\/(\w+\.(js|css))$/.exec(request.url!)?.[1];
    const type = name?.endsWith('css') ? 'text/css' : name ? 'text/javascript' : 'text/html';
    if (request.url!.startsWith('/v1')) {
      response.writeHead(307, {
        location: `${redirector}${request.url}`,
        'access-control-allow-origin': '*',
      });
      response.end();
    } else {
      response.setHeader('content-type', type).end(await readFile(`src/console/${name ?? 'index.html'}`));
    }
  });
  const tab = await (await startChromium(t)).newPage();
  await tab.goto(`${url}/console`);
  await tab.type('#enter input[name=key]', 'se-cret');
  await tab.click('#enter button');
  await until(async () => (await tab.$eval('#message', (found) => found.textContent)) !== '');
  t.same([here, there], [[], []]);
});
