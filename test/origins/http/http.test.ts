import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { type HttpOptions, HttpOrigin } from '../../../src/origins/http/http.ts';
import { codeOf, collect, originContract, pattern, untilReleased } from '../../contracts/origin.ts';
import { freshFolder, replaceFile } from '../../files.ts';
import { startNginx, withoutNginx } from '../../servers/nginx.ts';
import { serve } from '../../servers/serve.ts';

/** A signal that never aborts. */
const awake = new AbortController().signal;

t.test('the contract, with nginx as the vendor', { skip: withoutNginx }, async (t) => {
  const root = await freshFolder(t);
  const nginx = await startNginx(t, root);
  const urlOf = (name: string) => `${nginx.url}/${name.split('/').map(encodeURIComponent).join('/')}`;

  originContract(t, async (t) => {
    const origin = reading(t, [nginx.url]);
    return {
      origin,
      missing: urlOf('nothing.wav'),
      held: () => origin.underWay,
      async put(name, bytes) {
        await replaceFile(join(root, name), bytes);
        return urlOf(name);
      },
    };
  });
});

function reading(t: Pick<Test, 'teardown'>, allowed: string[], more: Partial<HttpOptions> = {}): HttpOrigin {
  const origin = new HttpOrigin({
    allowedHosts: allowed.map((url) => new URL(url).host),
    credentials: new Map(),
    maxBytes: 1_000_000_000,
    fetchTimeoutMs: 60_000,
    stallTimeoutMs: 2000,
    metrics: createMetrics(),
    ...more,
  });
  t.teardown(() => origin.close());
  return origin;
}

const audio = pattern(100_000);
type Responder = (response: ServerResponse, request: IncomingMessage) => void;
const sendRange: Responder = (response, { headers }) => {
  const [first, last] = /(\d+)-(\d+)/
    .exec(headers.range ?? '')!
    .slice(1)
    .map(Number) as [number, number];
  response.writeHead(206, { etag: '"v1"', 'content-range': `bytes ${first}-${last}/${audio.length}` });
  response.end(audio.subarray(first, last + 1));
};

t.test('which vendors can be played from where they are', async (t) => {
  const table: [string, Responder, string][] = [
    ['ranges and a strong ETag', sendRange, 'played'],
    [
      'ranges, no HEAD',
      (response, request) =>
        request.method === 'HEAD' ? response.writeHead(405).end() : sendRange(response, request),
      'played',
    ],
    [
      'no ranges',
      (response) => response.writeHead(200, { etag: '"v1"', 'accept-ranges': 'bytes' }).end(audio),
      'origin_failed',
    ],
    [
      'no ranges, one byte long',
      (response) => response.writeHead(200, { etag: '"v1"', 'content-length': 1 }).end('x'),
      'origin_failed',
    ],
    [
      'a weak ETag',
      (response) => response.writeHead(206, { etag: 'W/"v1"', 'content-range': 'bytes 0-0/9' }).end('x'),
      'origin_failed',
    ],
    [
      'no ETag',
      (response) => response.writeHead(206, { 'content-range': 'bytes 0-0/9' }).end('x'),
      'origin_failed',
    ],
    [
      'no size',
      (response) => response.writeHead(206, { etag: '"v1"', 'content-range': 'bytes 0-0/*' }).end('x'),
      'origin_failed',
    ],
    [
      'encoded',
      (response) =>
        response
          .writeHead(206, { etag: '"v1"', 'content-range': 'bytes 0-0/9', 'content-encoding': 'gzip' })
          .end('x'),
      'origin_failed',
    ],
    ['not found', (response) => response.writeHead(404).end(), 'not_found'],
    ['forbidden', (response) => response.writeHead(403).end(), 'origin_failed'],
    ['busy', (response) => response.writeHead(503).end(), 'origin_unavailable'],
  ];
  for (const [name, respond, outcome] of table) {
    const { url } = await serve(t, (request, response) => respond(response, request));
    const origin = reading(t, [url]);
    const play = async () => {
      const version = await origin.stat(url);
      t.equal(version.size, audio.length);
      const body = await collect(await origin.read(url, { first: 500, last: 99_999 }, version, awake));
      return t.ok(body.equals(audio.subarray(500))) ? 'played' : 'not the same bytes';
    };
    t.equal(await play().catch((error) => error.code), outcome, `${name}: ${outcome}`);
    t.equal(await untilReleased(() => origin.underWay), 0);
  }
});

t.test('a vendor that is busy at first gets another request', async (t) => {
  let requests = 0;
  const { url } = await serve(t, (request, response) => {
    requests++;
    if (requests % 3 !== 0) response.writeHead(requests % 3 === 1 ? 503 : 500).end();
    else if (request.headers.range) sendRange(response, request);
    else response.end(audio);
  });
  const origin = reading(t, [url]);
  const version = await origin.stat(url);
  t.equal(version.size, audio.length);
  const part = await collect(await origin.read(url, { first: 1, last: 9 }, version, awake));
  t.ok(part.equals(audio.subarray(1, 10)));
  t.ok((await collect(await origin.fetchWhole(url, awake))).equals(audio));
  t.equal(requests, 9);
});

t.test('a source that is fetched whole is whole, and within the limits', async (t) => {
  const cut = (response: ServerResponse) => {
    response.write(audio.subarray(0, 99));
    setTimeout(() => response.destroy(), 20);
  };
  const drip: Responder = (response) => {
    const timer = setInterval(() => response.write('x'), 20);
    response.once('close', () => clearInterval(timer));
  };
  const table: [string, Responder, string][] = [
    [
      'with a length',
      (response) => response.writeHead(200, { 'content-length': audio.length }).end(audio),
      'whole',
    ],
    [
      'chunked',
      (response) => void response.write(audio.subarray(0, 9), () => response.end(audio.subarray(9))),
      'whole',
    ],
    ['with a weak ETag', (response) => response.writeHead(200, { etag: 'W/"x"' }).end(audio), 'whole'],
    [
      'a range of it',
      (response) => response.writeHead(206, { 'content-range': 'bytes 0-9/10' }).end('0123456789'),
      'origin_failed',
    ],
    [
      'encoded',
      (response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(audio),
      'origin_failed',
    ],
    [
      'without a length or chunks',
      (response) =>
        response.writeHead(200, { connection: 'close', 'transfer-encoding': 'identity' }).end(audio),
      'origin_failed',
    ],
    [
      'cut short',
      (response) => cut(response.writeHead(200, { 'content-length': audio.length })),
      'origin_failed',
    ],
    ['cut short in a chunk', cut, 'origin_failed'],
    [
      'too large by its Content-Length',
      (response) => response.writeHead(200, { 'content-length': 200_001 }).end(),
      'too_large',
    ],
    [
      'too large, without a Content-Length',
      (response) => response.write(Buffer.concat([audio, audio, audio])),
      'too_large',
    ],
    ['dripping without end', drip, 'origin_failed'],
    ['stalled', (response) => response.write('x'), 'origin_failed'],
    ['silent', () => {}, 'origin_unavailable'],
    ['not there', (response) => response.writeHead(404).end(), 'not_found'],
    ['expired', (response) => response.writeHead(403).end(), 'origin_failed'],
    ['no content', (response) => response.writeHead(204).end(), 'origin_failed'],
  ];
  for (const [name, respond, outcome] of table) {
    const { url } = await serve(t, (request, response) => respond(response, request));
    const origin = reading(t, [url], { maxBytes: 200_000, fetchTimeoutMs: 2000, stallTimeoutMs: 1000 });
    const fetched = async () =>
      (await collect(await origin.fetchWhole(url, awake))).equals(audio) ? 'whole' : 'short';
    t.equal(await fetched().catch((error) => error.code), outcome, `${name}: ${outcome}`);
    t.equal(await untilReleased(() => origin.underWay), 0);
  }
});

t.test('credentials are sent to their own host only', async (t) => {
  const seen: Record<string, (string | undefined)[]> = { own: [], other: [] };
  let other = '';
  const { url: own } = await serve(t, ({ headers, url }, response) => {
    seen.own!.push(headers.authorization);
    const to: Record<string, string> = {
      '/within': '/file',
      '/away': `${other}/file`,
      '/there-and-back': `${other}/back`,
    };
    if (to[url!]) response.writeHead(302, { location: to[url!] }).end();
    else response.end(audio);
  });
  ({ url: other } = await serve(t, ({ headers, url }, response) => {
    seen.other!.push(headers.authorization);
    if (url === '/back') response.writeHead(302, { location: `${own}/file` }).end();
    else response.end(audio);
  }));
  const bearer = 'Bearer secret';
  const basic = `Basic ${Buffer.from('usér:pass').toString('base64')}`;
  const table: [string, string, (string | undefined)[], (string | undefined)[]][] = [
    ['its host', `${own}/file`, [bearer], []],
    ['another host', `${other}/file`, [], [undefined]],
    ['redirected within the host', `${own}/within`, [bearer, bearer], []],
    ['redirected away', `${own}/away`, [bearer], [undefined]],
    ['redirected away and back', `${own}/there-and-back`, [bearer, undefined], [undefined]],
  ];
  const origin = reading(t, [own, other], {
    credentials: new Map([[new URL(own).host, { bearer: 'secret' }]]),
  });
  for (const [name, url, atOwn, atOther] of table) {
    seen.own = [];
    seen.other = [];
    await collect(await origin.fetchWhole(url, awake));
    t.same(seen, { own: atOwn, other: atOther }, name);
  }
  seen.own = [];
  const withBasic = reading(t, [own], {
    credentials: new Map([[new URL(own).host, { basic: 'usér:pass' }]]),
  });
  await collect(await withBasic.fetchWhole(`${own}/file`, awake));
  t.same(seen.own, [basic], 'basic');
});

t.test('an aborted fetch frees its connection', async (t) => {
  const { url } = await serve(
    t,
    (_, response) => void response.writeHead(200, { 'content-length': 9 }).write('x'),
  );
  const origin = reading(t, [url]);
  const abortion = new AbortController();
  const body = await origin.fetchWhole(url, abortion.signal);
  t.equal(origin.underWay, 1);
  abortion.abort(new Error('enough'));
  t.equal(origin.underWay, 0);
  t.match(await codeOf(collect(body)), /enough/);
});
