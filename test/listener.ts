import { type Agent, get, type IncomingMessage } from 'node:http';

/**
 * Requests a stream like a listener that does not read yet: the head of the response has arrived, and its body waits.
 *
 * @param agent `false` for a connection of its own
 */
export function openStream(url: string, agent?: Agent | false): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  get(url, { agent }, (response) => resolve(response.pause())).on('error', reject);
  return promise;
}
