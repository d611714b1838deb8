import type { RequestListener } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { HttpClient, type HttpClientOptions } from '../../../src/origins/http/http-client.ts';
import { codeOf, collect, pattern, untilReleased } from '../../contracts/origin.ts';
import { listen, serve } from '../../servers/serve.ts';

/** A signal that never aborts. */
const awake = () => new AbortController().signal;
const megabyte = 1024 * 1024;

/** A server and a client for it, with the number of connections that are open and that there were. */
async function pair(t: Test, listener: RequestListener, more: Partial<HttpClientOptions> = {}) {
  const { server, url: origin, sockets } = await serve(t, listener);
  let connections = 0;
  server.on('connection', () => connections++);
  const metrics = createMetrics();
  const client = new HttpClient({ name: 'test', metrics, connections: 2, stallTimeoutMs: 2000, ...more });
  t.teardown(() => client.close());
  const get = (path = '/', signal = awake()) => client.get({ origin, path }, {}, signal);
  return { client, metrics, get, open: () => sockets.size, connections: () => connections };
}

/** A server that sends `text` on every connection and then calls `then`. */
async function sending(t: Test, text: string, then: (socket: Socket) => void, stallTimeoutMs = 2000) {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(text, () => then(socket)));
  });
  const { url: origin } = await listen(t, server);
  const client = new HttpClient({ name: 'test', metrics: createMetrics(), connections: 2, stallTimeoutMs });
  t.teardown(() => client.close());
  return { client, get: () => client.get({ origin, path: '/' }, {}, awake()) };
}

t.test('bodies arrive whole, over kept connections, and are counted', async (t) => {
  const bytes = pattern(3 * megabyte);
  const { client, metrics, get, connections } = await pair(t, (_, response) => response.end(bytes));
  for (let i = 0; i < 10; i++) t.ok((await collect((await get()).bytes(bytes.length))).equals(bytes));
  t.ok(connections() <= 2, 'no more than the limit');
  t.equal((await metrics.originBytes.get()).values[0]!.value, 10 * bytes.length);
  t.same((await metrics.originRequests.get()).values, [
    { labels: { origin: 'test', outcome: '2xx' }, value: 10 },
  ]);
  t.equal(client.underWay, 0);
});

t.test('the path is sent as it is', async (t) => {
  const { get } = await pair(t, (request, response) => response.end(request.url));
  for (const path of ['/a/../b', '/a//b', '/%2e%2e/x', '/?x=%2B+']) {
    t.equal(String(await collect((await get(path)).bytes())), path);
  }
});

t.test('a body that nobody drains stays at the server', async (t) => {
  const body = pattern(64 * megabyte);
  const { get, metrics } = await pair(t, (_, response) => response.end(body));
  const response = await get();
  await sleep(200); // time to receive more than it should
  const taken = (await metrics.originBytes.get()).values[0]!.value;
  t.ok(taken <= 384 * 1024, `${taken} bytes were received`);
  t.ok((await collect(response.bytes())).equals(body), 'and all of it can be drained later');
});

t.test('requests beyond the connections wait, and one that leaves the queue leaves no trace', async (t) => {
  const { client, get, connections } = await pair(t, (_, response) => response.end(pattern(2 * megabyte)));
  const held = [await get(), await get()];
  const abortion = new AbortController();
  const left = get('/', abortion.signal);
  const third = get();
  t.equal(client.underWay, 4);
  abortion.abort(new Error('the listener left'));
  await t.rejects(left, { message: 'the listener left' });
  t.equal(client.underWay, 3);
  await held[0]!.bytes().return!();
  t.equal((await collect((await third).bytes())).length, 2 * megabyte, 'the third has its turn');
  await held[1]!.bytes().return!();
  t.equal(await untilReleased(() => client.underWay), 0);
  t.ok(connections() <= 4, `${connections()} connections`);
});

t.test('waiting for a connection has a limit', async (t) => {
  const { client, get } = await pair(t, (_, response) => response.end(pattern(2 * megabyte)), {
    stallTimeoutMs: 1000,
  });
  const held = [await get(), await get()];
  t.equal(await codeOf(get()), 'origin_unavailable');
  for (const response of held) await response.bytes().return!();
  t.equal(await untilReleased(() => client.underWay), 0);
  t.equal((await get()).status, 200, 'the connections can be used again');
});

t.test('every way of leaving closes the connection', async (t) => {
  const { client, get, open } = await pair(t, (_, response) => response.end(pattern(8 * megabyte)));
  for await (const _ of (await get()).bytes()) break;
  t.equal(await untilReleased(open), 0, 'left after a chunk');

  await (await get()).bytes().return!();
  t.equal(await untilReleased(open), 0, 'left before the first chunk');

  (await get()).discard();
  t.equal(await untilReleased(open), 0, 'a long body discarded');

  const abortion = new AbortController();
  const body = (await get('/', abortion.signal)).bytes();
  await body.next();
  abortion.abort(new Error('gone'));
  await t.rejects(body.next(), { message: 'gone' });
  t.equal(await untilReleased(open), 0, 'aborted');
  t.equal(client.underWay, 0);
});

t.test('an aborted read gets nothing more, even if all bytes have arrived', async (t) => {
  const { client, get } = await pair(t, (_, response) => response.end(pattern(1000)));
  const abortion = new AbortController();
  const body = (await get('/', abortion.signal)).bytes();
  t.equal(await untilReleased(() => client.underWay), 0);
  abortion.abort(new Error('gone'));
  await t.rejects(body.next(), { message: 'gone' });
});

t.test('a short body is discarded by reading it, and its connection is kept', async (t) => {
  const { client, get, connections } = await pair(t, (_, response) => {
    response.writeHead(404, { 'content-length': 8 }).flushHeaders();
    setTimeout(() => response.end('not here'), 10);
  });
  for (let i = 0; i < 5; i++) {
    (await get()).discard();
    t.equal(await untilReleased(() => client.underWay), 0);
  }
  t.equal(connections(), 1);
});

t.test('a discarded body that arrived with its head holds no connection', async (t) => {
  const page = pattern(40_000);
  const { client, get, connections } = await pair(t, (_, response) => {
    response.writeHead(404, { 'content-length': page.length }).end(page);
  });
  for (let i = 0; i < 5; i++) {
    (await get()).discard();
    t.equal(await untilReleased(() => client.underWay), 0);
  }
  t.ok(connections() <= 2, 'they are kept and used again');
});

t.test('a body that is not whole never ends like a whole one', async (t) => {
  const head = (length: string) => `HTTP/1.1 200 OK\r\n${length}\r\n\r\n`;
  const end = (socket: Socket) => void socket.end();
  const reset = (socket: Socket) => void setTimeout(() => socket.resetAndDestroy(), 50);
  const stay = () => {};
  const table: [string, string, (socket: Socket) => void, number | undefined, string][] = [
    ['whole', `${head('content-length: 5')}hello`, stay, 5, 'hello'],
    ['whole, then reset', `${head('content-length: 5')}hello`, reset, 5, 'hello'],
    ['ended early', `${head('content-length: 9')}hello`, end, 9, 'hello, origin_failed'],
    ['reset', `${head('content-length: 9')}hello`, reset, 9, 'hello, origin_failed'],
    ['stalled', `${head('content-length: 9')}hello`, stay, 9, 'hello, origin_failed'],
    [
      'chunked, ended early',
      `${head('transfer-encoding: chunked')}5\r\nhello\r\n`,
      end,
      undefined,
      'hello, origin_failed',
    ],
    [
      'chunked, bad chunk',
      `${head('transfer-encoding: chunked')}5\r\nhello\r\nzz`,
      stay,
      undefined,
      'hello, origin_failed',
    ],
    [
      'chunked, shorter than expected',
      `${head('transfer-encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
      stay,
      9,
      'hello, origin_failed',
    ],
    [
      'chunked, longer than expected',
      `${head('transfer-encoding: chunked')}5\r\nhello\r\n0\r\n\r\n`,
      stay,
      4,
      ', origin_failed',
    ],
    [
      'until the connection ends, shorter than expected',
      `${head('connection: close')}hello`,
      end,
      9,
      'hello, origin_failed',
    ],
  ];
  for (const [name, text, then, length, outcome] of table) {
    const { client, get } = await sending(t, text, then, 1000);
    let got = '';
    try {
      for await (const chunk of (await get()).bytes(length)) got += Buffer.from(chunk);
    } catch (error) {
      got += `, ${await codeOf(Promise.reject(error))}`;
    }
    t.equal(got, outcome, `${name}: ${outcome}`);
    t.equal(client.underWay, 0);
  }
});

t.test('without a response the origin is unavailable', async (t) => {
  const table: [string, string, (socket: Socket) => void][] = [
    ['ended', '', (socket) => void socket.end()],
    ['reset', 'HTTP/1.1 20', (socket) => void setTimeout(() => socket.resetAndDestroy(), 50)],
    ['silence', '', () => {}],
    ['half a head and silence', 'HTTP/1.1 200 OK\r\ncontent-', () => {}],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n', () => {}],
    ['an endless head', `HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(20_000)}`, () => {}],
  ];
  for (const [name, text, then] of table) {
    const { client, get } = await sending(t, text, then, 1000);
    t.equal(await codeOf(get()), 'origin_unavailable', name);
    t.equal(client.underWay, 0);
  }
});
