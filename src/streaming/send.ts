import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/**
 * Writes one answer to the socket and resolves once the kernel has taken its last byte.
 *
 * It writes to the socket itself, instead of handing a stream to the framework, because chunks lie in
 * buffers that are reused: the next chunk is asked for only when the write of the last one has called back,
 * so that nothing is held for a listener beyond the one chunk its socket has not drained yet.
 *
 * @param stallMs a listener that takes nothing of what it is given for this long is cut off; how long it may be
 *   kept waiting for more is for `body` to say
 * @param sent is told of the bytes of each chunk once the kernel has them
 * @throws what `body` throws, or an Error if the listener left: either way the connection is broken first, so
 * that a short body never looks like a whole one (RFC 9112 §8)
 */
export async function send(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: AsyncIterable<Uint8Array>,
  stallMs: number,
  sent: (bytes: number) => void,
): Promise<void> {
  let abandon: (reason: Error) => void = () => {};
  const onClose = () => abandon(new Error('The listener left.'));
  response.once('close', onClose);
  let writing = false;
  const onTimeout = () => void (writing && response.destroy());
  response.on('timeout', onTimeout); // with a listener for it node:http leaves the socket alone

  try {
    // Of requests that were sent at once (RFC 9112 §9.3.2) each waits for its turn, before it holds a chunk.
    if (!response.socket && !response.destroyed) {
      await new Promise<void>((resolve, reject) => {
        abandon = reject;
        response.once('socket', () => resolve());
      });
    }
    response.socket?.setTimeout(stallMs); // every write begins it anew; keep-alive resets it
    response.writeHead(status, headers);
    for await (const chunk of body) {
      writing = true;
      await new Promise<void>((resolve, reject) => {
        abandon = reject;
        if (response.destroyed) onClose();
        response.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
      writing = false;
      sent(chunk.byteLength);
    }
    response.end();
  } catch (error) {
    response.destroy();
    throw error;
  } finally {
    response.off('close', onClose);
    response.off('timeout', onTimeout);
  }
}
