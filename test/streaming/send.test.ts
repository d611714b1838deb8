import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { send } from '../../src/streaming/send.ts';
import { serve } from '../servers/serve.ts';
import { until } from '../until.ts';

const megabyte = 1024 * 1024;
const stallTimeoutMs = 10_000;

/** A connection to a server whose responses are `chunks` chunks of `size` bytes. It counts the chunks that were requested. */
async function connectTo(
  t: Test,
  { chunks, size, ready }: { chunks: number; size: number; ready?: Promise<unknown> },
) {
  const counts = { bodies: 0, requested: 0, started: 0, sent: 0, broken: 0 };
  async function* body() {
    counts.bodies++;
    for (let chunk = 0; chunk < chunks; chunk++) {
      counts.requested++;
      yield Buffer.alloc(size, 'x');
    }
  }
  const { port, sockets } = await serve(t, async (_request, response) => {
    counts.started++;
    await ready;
    send(response, 200, { 'content-length': chunks * size }, body(), stallTimeoutMs, () => {}).then(
      () => counts.sent++,
      () => counts.broken++,
    );
  });
  const socket = connect(port, '127.0.0.1');
  return { counts, socket, sockets };
}

const request = 'GET / HTTP/1.1\r\nhost: x\r\n\r\n';
const lastRequest = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';

t.test('only the first of pipelined requests reads bytes', async (t) => {
  const { counts, socket } = await connectTo(t, { chunks: 64, size: megabyte });
  socket.pause().write(request.repeat(20));
  await until(() => counts.started === 20 && counts.requested > 0);
  let before = 0;
  const isWaiting = () => {
    const stays = counts.requested === before;
    before = counts.requested;
    return stays;
  };
  await until(isWaiting);
  socket.destroy();
  await until(() => counts.broken + counts.sent === 20);
  t.equal(counts.broken, 20, 'all of them end with the connection');
  t.ok(counts.requested < 64, 'the first one was waiting for its listener');
  t.equal(counts.bodies, 1, 'and no other body was opened');
});

t.test('pipelined requests get their responses in order', async (t) => {
  const { counts, socket } = await connectTo(t, { chunks: 2, size: 5 });
  socket.write(request.repeat(4) + lastRequest);
  const received = await text(socket);
  t.equal(received.match(/\r\n\r\nx{10}(?=HTTP|$)/g)?.length, 5);
  t.ok(await until(() => counts.sent === 5));
});

t.test('a response that is ready after the listener has left is broken off', async (t) => {
  const ready = Promise.withResolvers<void>();
  const { counts, socket, sockets } = await connectTo(t, { chunks: 2, size: 5, ready: ready.promise });
  socket.write(request.repeat(3));
  await until(() => counts.started === 3);
  socket.destroy();
  await until(() => sockets.size === 0);
  ready.resolve();
  t.ok(await until(() => counts.broken === 3));
});

t.test('a listener that stalls is cut off, and one whose body stalls is not', async (t) => {
  const limitMs = 500;
  const broken = Promise.withResolvers<unknown>();
  async function* body() {
    yield Buffer.from('one');
    await sleep(2 * limitMs);
    yield Buffer.from('two');
    yield Buffer.alloc(64 * megabyte);
  }
  const { port } = await serve(t, (_request, response) => {
    send(response, 200, {}, body(), limitMs, () => {}).catch(broken.resolve);
  });
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  socket.write(request);
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1', 0, 1000);
  });
  await until(() => received.includes('two'));
  t.match(received, /one[\s\S]*two/);
  socket.pause();
  t.match(await broken.promise, Error, 'it accepts no more bytes');
});
