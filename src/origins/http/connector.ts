import type { Socket } from 'node:net';
import { buildConnector } from 'undici';

/** Bytes that a connection takes in at one time. */
const readSize = 256 * 1024;
/** Bytes within which the head of an answer ends; undici refuses one with 16 KiB of fields. */
const headLimit = 32 * 1024;

/**
 * undici's way to open connections, with one difference: what a connection receives lies in one buffer,
 * which is used again for what comes next. Fresh memory for each piece costs more than all else that is
 * done with it.
 *
 * undici takes pieces by `read` and puts back with `unshift` what it is not ready for; nothing more is
 * received until it has taken all. Whoever it hands a piece to has to be done with it, or pause the answer.
 * Its parser itself is not done with a head that comes in several pieces: it keeps the fields where they lie
 * until the head has ended. Pieces that may be of one are therefore copies.
 *
 * Not so by TLS, which decrypts all the records that came at once, one over the other in such a buffer,
 * even once it was told to stop: there each piece has memory of its own.
 */
export function reusingConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const overTls = buildConnector(options);
  return (target, callback) => {
    if (target.protocol === 'https:') return overTls(target, callback);
    let socket: Socket | undefined;
    let piece: Uint8Array | null = null;
    /** Bytes that have been written, and that came since: of the answer to the request that was written last. */
    let asked = 0;
    let answered = 0;
    const onread = {
      buffer: Buffer.allocUnsafeSlow(readSize),
      callback(length: number, buffer: Uint8Array) {
        if (socket && socket.bytesWritten !== asked) {
          asked = socket.bytesWritten;
          answered = 0;
        }
        answered += length;
        piece = buffer.subarray(0, length);
        if (answered <= headLimit) piece = Buffer.from(piece);
        socket?.emit('readable');
        return piece === null; // false: receive nothing more before `read`
      },
    };
    buildConnector({ ...options, onread })(target, (...[error, connected]) => {
      if (error) return callback(error, null);
      socket = connected;
      const receive = connected.read.bind(connected, 0);
      connected.read = (size) => {
        if (size === 0) return receive();
        const taken = piece;
        piece = null;
        return taken?.length ? taken : receive();
      };
      connected.unshift = (rest: Uint8Array) => {
        piece = rest;
      };
      callback(null, connected);
    });
  };
}
