import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type tap from 'tap';
import { listen } from './serve.ts';

/** A fault of one connection, which strikes after `after` bytes of the server's responses. */
export interface Fault {
  readonly kind:
    | 'reset' // RST, as from a crashed server or a firewall
    | 'end' // FIN, so the body is cut short
    | 'stall' // nothing more is sent, and the connection stays open
    | 'drip'; // the rest is sent in chunks of `bytes`, one every `everyMs`
  readonly after: number;
  readonly bytes?: number;
  readonly everyMs?: number;
}

export interface FaultProxy {
  readonly host: string;
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The most connections that were open at once, the faults that struck, and the bytes sent to clients. */
  readonly counts: { peak: number; faults: number; bytes: number };
  /** While it is down, it resets every connection. */
  down(isDown: boolean): void;
}

/**
 * A TCP proxy on loopback that injects faults.
 *
 * @param plan the fault of the nth connection, counted from 0; undefined for none
 * @param alter rewrites each chunk from the server, such as its ETag or Content-Length
 */
export async function faultProxy(
  t: Pick<typeof tap, 'teardown'>,
  target: { host?: string; port: number },
  plan: (connection: number) => Fault | undefined = () => undefined,
  alter: (chunk: Buffer) => Buffer = (chunk) => chunk,
): Promise<FaultProxy> {
  const counts = { peak: 0, faults: 0, bytes: 0 };
  let connections = 0;
  let open = 0;
  const sockets = new Set<Socket>();
  let isDown = false;

  const server = createServer((client) => {
    if (isDown) return client.resetAndDestroy();
    const fault = plan(connections++);
    const upstream = connect({ host: target.host ?? '127.0.0.1', port: target.port });
    open++;
    counts.peak = Math.max(counts.peak, open);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {}); // resets are expected
    }
    client.once('close', () => {
      open--;
      sockets.delete(client);
      upstream.destroy();
    });
    upstream.once('close', () => sockets.delete(upstream));
    client.pipe(upstream);
    relay(upstream, client, fault).then(
      () => client.end(),
      () => client.resetAndDestroy(),
    );
  });

  async function relay(upstream: Socket, client: Socket, fault: Fault | undefined): Promise<void> {
    let left = fault ? fault.after : Number.POSITIVE_INFINITY;
    let struck = false;
    for await (const received of upstream) {
      const chunk = alter(received);
      await send(client, chunk.subarray(0, left));
      const rest = chunk.subarray(left);
      left -= Math.min(left, chunk.length);
      if (rest.length === 0 || !fault) continue;
      if (!struck) counts.faults++;
      struck = true;
      if (fault.kind === 'reset') throw new Error('reset');
      if (fault.kind === 'end') return;
      if (fault.kind === 'stall') return void (await once(client, 'close'));
      for (let at = 0; at < rest.length && !client.destroyed; at += fault.bytes ?? 1024) {
        await sleep(fault.everyMs ?? 1);
        await send(client, rest.subarray(at, at + (fault.bytes ?? 1024)));
      }
    }
  }

  async function send(client: Socket, bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    if (client.destroyed) throw new Error('the client closed the connection');
    counts.bytes += bytes.length;
    if (!client.write(bytes)) await Promise.race([once(client, 'drain'), once(client, 'close')]);
  }

  function resetAll(): void {
    for (const socket of sockets) socket.resetAndDestroy();
  }

  const { port, url } = await listen(t, server);
  return {
    host: '127.0.0.1',
    port,
    url,
    counts,
    down(state) {
      isDown = state;
      if (isDown) resetAll();
    },
  };
}
