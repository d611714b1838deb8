import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Agent } from 'undici';
import { reusingConnector } from '../../src/origins/connector.ts';
import { pattern } from '../contracts/origin.ts';

const body = pattern(3 * 1024 * 1024);

/** What a handler saw of one GET, which pauses at every piece where it is told to. */
function get(agent: Agent, origin: string, isPausing: boolean) {
  const pieces: Buffer[] = [];
  const buffers = new Set<ArrayBufferLike>();
  return new Promise<{ pieces: Buffer[]; buffers: Set<ArrayBufferLike> }>((resolve, reject) => {
    agent.dispatch(
      { origin, path: '/', method: 'GET' },
      {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData(controller, piece) {
          if (piece.length > 0) buffers.add(piece.buffer); // undici resumes with an empty one
          pieces.push(Buffer.from(piece));
          if (!isPausing || piece.length === 0) return;
          controller.pause();
          const before = Buffer.from(piece);
          sleep(2).then(() => {
            if (!before.equals(piece)) reject(new Error('the buffer was used while the answer was paused'));
            controller.resume();
          });
        },
        onResponseEnd: () => resolve({ pieces, buffers }),
        onResponseError: (_, error) => reject(error),
      },
    );
  });
}

for (const isPausing of [false, true]) {
  t.test(`bodies come whole by one buffer, ${isPausing ? 'paused at each piece' : 'at once'}`, async (t) => {
    const server = createServer((_, response) => response.end(body)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const agent = new Agent({ connections: 1, connect: reusingConnector({ allowH2: false }) });
    t.teardown(async () => {
      await agent.destroy();
      server.close();
    });
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const all = new Set<ArrayBufferLike>();
    for (let i = 0; i < 3; i++) {
      const { pieces, buffers } = await get(agent, origin, isPausing);
      t.ok(Buffer.concat(pieces).equals(body));
      for (const buffer of buffers) all.add(buffer);
    }
    t.equal(all.size, 1, 'the same for each piece of each answer');
  });
}
