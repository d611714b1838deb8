import type { Worker } from 'node:cluster';
import { randomUUID } from 'node:crypto';

/** The process at the other end of the channel between the primary and a worker. */
type Peer = Worker | NodeJS.Process;
type Request = { id: string; request: string };
type Response = { id: string; response: unknown };

/**
 * Sends a request and resolves with its response.
 *
 * @throws Error if the other process is gone or does not respond within `timeoutMs`
 */
export async function request<T>(peer: Peer, name: string, timeoutMs: number): Promise<T> {
  const id = randomUUID();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const receive = (message: Request | Response) => {
    if (message.id === id && 'response' in message) resolve(message.response as T);
  };
  const timeout = setTimeout(
    () => reject(new Error(`No response to "${name}" within ${timeoutMs} ms.`)),
    timeoutMs,
  );
  peer.on('message', receive);
  try {
    send(peer, { id, request: name }, reject);
    return await promise;
  } finally {
    clearTimeout(timeout);
    peer.off('message', receive);
  }
}

/** Sends a request and ignores its response. */
export function notify(peer: Peer, name: string): void {
  send(peer, { id: randomUUID(), request: name });
}

/** Responds to each request of this name. If the handler or the send fails, the requester's timeout ends the request. */
export function respond(peer: Peer, name: string, handler: () => Promise<unknown>): void {
  peer.on('message', (message: Request | Response) => {
    if (!('request' in message) || message.request !== name) return;
    handler().then(
      (response) => send(peer, { id: message.id, response }),
      () => {},
    );
  });
}

function send(peer: Peer, message: Request | Response, onError: (error: Error) => void = () => {}): void {
  peer.send!(message, undefined, undefined, (error: Error | null) => error && onError(error));
}
