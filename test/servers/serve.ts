import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Test } from 'tap';

export interface Served {
  readonly server: Server;
  readonly port: number;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** The connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
}

/** An HTTP server on a free port of the loopback. It and its connections are closed with the test. */
export function serve(t: Pick<Test, 'teardown'>, handler: RequestListener): Promise<Served> {
  return listen(t, createServer(handler));
}

/** Any server (TCP, HTTP, TLS) on a free port of the loopback. It and its connections are closed with the test. */
export async function listen(t: Pick<Test, 'teardown'>, server: Server): Promise<Served> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { server, port, url: `http://127.0.0.1:${port}`, sockets };
}
