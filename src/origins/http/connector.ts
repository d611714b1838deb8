import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

/** Length of the buffer that a connection receives into. */
const bufferBytes = 256 * 1024;
/** No head of a response is longer: undici rejects more than 16 KiB of fields. */
const maxHeadBytes = 32 * 1024;

/**
 * undici's connector, with one difference: a connection reuses one buffer for all chunks that it receives.
 * Fresh memory for each chunk costs more than everything else that is done with the chunk.
 *
 * undici takes a chunk with `read`, and puts back with `unshift` what it is not ready for. Nothing more is
 * received until it has taken all. A handler must be done with a chunk when it returns, or pause the response.
 *
 * undici's parser does not copy the fields of a head. If a chunk ends inside a head, the parser needs the chunk
 * until the rest of the head arrives. So a chunk that may contain a part of a head is a copy.
 *
 * TLS connections do not reuse a buffer: if several records arrive at once, Node would decrypt each over the one
 * before it, even if the connection is paused.
 */
export function reusingConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const overTls = buildConnector(options);
  return (target, callback) => {
    if (target.protocol === 'https:') return overTls(target, callback);
    let socket: Socket | undefined;
    let chunk: Uint8Array | null = null;
    let bytesSent = 0;
    /** Received since the last request was sent: the first bytes of its response may be its head. */
    let bytesReceived = 0;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(bufferBytes),
      callback(length: number, buffer: Uint8Array) {
        if (socket && socket.bytesWritten !== bytesSent) {
          bytesSent = socket.bytesWritten;
          bytesReceived = 0;
        }
        bytesReceived += length;
        chunk = buffer.subarray(0, length);
        if (bytesReceived <= maxHeadBytes) chunk = Buffer.from(chunk);
        socket?.emit('readable');
        return chunk === null; // false, if undici left something: receive nothing more until it calls `read`
      },
    };
    // The parameters are a tuple, so that TypeScript knows that there is a socket if there is no error.
    buildConnector({ ...options, onread })(target, (...[error, connected]) => {
      if (error) return callback(error, null);
      socket = connected;
      const receive = connected.read.bind(connected, 0); // `read(0)` takes nothing, and starts receiving again
      connected.read = (size) => {
        if (size === 0) return receive();
        const taken = chunk;
        chunk = null;
        return taken?.length ? taken : receive();
      };
      connected.unshift = (rest: Uint8Array) => {
        chunk = rest;
      };
      callback(null, connected);
    });
  };
}
