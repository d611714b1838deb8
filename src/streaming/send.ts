import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/**
 * Writes one response to the socket. Resolves once the kernel has its last byte.
 *
 * It writes to `response` directly and hands no stream to the framework, because the buffer of a chunk is reused
 * when the next chunk is requested. So it requests a chunk only after the write of the last one has called back.
 * A listener holds one chunk at most: the one that its socket has not drained.
 *
 * @param stallTimeoutMs a listener that accepts nothing for this long is cut off. The wait for `body` has no limit
 * here: `body` has its own.
 * @param onSent is called with the length of each chunk once the kernel has it
 * @throws what `body` throws, or an Error if the listener left. The connection is broken first, so that a
 * short body never looks like a whole one (RFC 9112 §8).
 */
export async function send(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: AsyncIterable<Uint8Array>,
  stallTimeoutMs: number,
  onSent: (bytes: number) => void,
): Promise<void> {
  let abort: (reason: Error) => void = () => {};
  const onClose = () => abort(new Error('The listener left.'));
  response.once('close', onClose);
  let isWriting = false;
  const onTimeout = () => {
    if (isWriting) response.destroy();
  };
  response.on('timeout', onTimeout); // without a handler, node:http would also destroy a socket that waits for `body`

  try {
    // Pipelined requests (RFC 9112 §9.3.2): each waits for its turn before it holds a chunk.
    if (!response.socket && !response.destroyed) {
      await new Promise<void>((resolve, reject) => {
        abort = reject;
        response.once('socket', () => resolve());
      });
    }
    response.socket?.setTimeout(stallTimeoutMs); // every write restarts it; keep-alive resets it
    response.writeHead(status, headers);
    for await (const chunk of body) {
      isWriting = true;
      await new Promise<void>((resolve, reject) => {
        abort = reject;
        if (response.destroyed) onClose();
        response.write(chunk, (error) => (error ? reject(error) : resolve()));
      });
      isWriting = false;
      onSent(chunk.byteLength);
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
