import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

/** Bytes that a connection receives at one time. */
const readBytes = 256 * 1024;
/** The head of a response ends within so many bytes: undici rejects more than 16 KiB of fields. */
const maxHeadBytes = 32 * 1024;

/**
 * undici's connector, with one difference: a connection receives into one buffer, again and again. Fresh
 * memory for each chunk costs more than everything else that is done with the chunk.
 *
 * undici takes a chunk with `read` and puts back with `unshift` what it is not ready for. Nothing more is
 * received until it has taken all. A handler has to be done with a chunk when it returns, or pause the
 * response. undici's parser is not done with the first part of a head until the rest arrives: it keeps the
 * fields where they are. So a chunk that may contain a part of a head is a copy.
 *
 * TLS connections do not reuse a buffer: Node decrypts all records that arrived at once into the same place,
 * one over the other, even if the connection is paused.
 */
export function reusingConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const overTls = buildConnector(options);
  return (target, callback) => {
    if (target.protocol === 'https:') return overTls(target, callback);
    let socket: Socket | undefined;
    let chunk: Uint8Array | null = null;
    /** All bytes written so far, and the bytes received since: of the response to the last request. */
    let sent = 0;
    let received = 0;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(readBytes),
      callback(length: number, buffer: Uint8Array) {
        if (socket && socket.bytesWritten !== sent) {
          sent = socket.bytesWritten;
          received = 0;
        }
        received += length;
        chunk = buffer.subarray(0, length);
        if (received <= maxHeadBytes) chunk = Buffer.from(chunk);
        socket?.emit('readable');
        return chunk === null; // false: receive nothing more before `read`
      },
    };
    buildConnector({ ...options, onread })(target, (...[error, connected]) => {
      if (error) return callback(error, null);
      socket = connected;
      const receive = connected.read.bind(connected, 0);
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
