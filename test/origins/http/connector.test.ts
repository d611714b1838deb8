import { createServer } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Agent } from 'undici';
import { reusingConnector } from '../../../src/origins/http/connector.ts';
import { pattern } from '../../contracts/origin.ts';
import { listen } from '../../servers/serve.ts';

const body = pattern(3 * 1024 * 1024);

/** What a handler gets of one GET. It pauses at every chunk if `isPausing`. */
function get(agent: Agent, origin: string, isPausing: boolean) {
  const chunks: Buffer[] = [];
  const buffers = new Set<ArrayBufferLike>();
  return new Promise<{ chunks: Buffer[]; buffers: Set<ArrayBufferLike> }>((resolve, reject) => {
    agent.dispatch(
      { origin, path: '/', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData(controller, chunk) {
          if (chunk.length > 32 * 1024) buffers.add(chunk.buffer); // shorter ones may arrive with the head
          chunks.push(Buffer.from(chunk));
          if (!isPausing || chunk.length === 0) return;
          controller.pause();
          const before = Buffer.from(chunk);
          sleep(2).then(() => {
            if (!before.equals(chunk))
              reject(new Error('the buffer was reused while the response was paused'));
            controller.resume();
          });
        },
        onResponseEnd: () => resolve({ chunks, buffers }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

/** Starts the server, and an agent that keeps one connection to it. */
async function connectTo(t: Test, server: Server) {
  const { url: origin } = await listen(t, server);
  const agent = new Agent({ connections: 1, connect: reusingConnector({ allowH2: false }) });
  t.teardown(() => agent.destroy());
  return { agent, origin };
}

for (const isPausing of [false, true]) {
  t.test(
    `bodies arrive whole through one buffer, ${isPausing ? 'paused at each chunk' : 'without a pause'}`,
    async (t) => {
      const server = createServer((_, response) => response.end(body));
      const { agent, origin } = await connectTo(t, server);
      const all = new Set<ArrayBufferLike>();
      for (let i = 0; i < 3; i++) {
        const { chunks, buffers } = await get(agent, origin, isPausing);
        t.ok(Buffer.concat(chunks).equals(body));
        for (const buffer of buffers) all.add(buffer);
      }
      t.equal(all.size, 1, 'the same buffer for each chunk of each response');
    },
  );
}

t.test('a head that arrives in chunks keeps its fields', async (t) => {
  const head = [
    'HTTP/1.1 206 Partial Content',
    'etag: "a-validator"',
    `x-padding: ${'a'.repeat(500)}`,
    'content-range: bytes 0-4/5',
    'content-length: 5',
  ];
  const text = `${head.join('\r\n')}\r\n\r\nhello`;
  // One connection is kept, so each head but the first follows another response in the buffer.
  let cut = 0;
  const server = createTcpServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', async () => {
      for (const part of [text.slice(0, cut), text.slice(cut, cut + 40), text.slice(cut + 40)]) {
        socket.write(part);
        await sleep(5);
      }
    });
  });
  const { agent, origin } = await connectTo(t, server);
  for (cut of [1, 40, 47, 60, 100, 570, 600, text.length - 3]) {
    const { headers, body } = await agent
      .request({ origin, path: '/', method: 'GET' })
      .then(async (response) => ({ ...response, body: await response.body.text() }));
    t.match(headers, { etag: '"a-validator"', 'content-range': 'bytes 0-4/5' }, `cut after ${cut} bytes`);
    t.same(Object.keys(headers), ['etag', 'x-padding', 'content-range', 'content-length']);
    t.equal(body, 'hello');
  }
});
