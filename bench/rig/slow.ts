import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Library } from './library.ts';
import { residentBytes } from './machine.ts';
import type { Serving } from './peers.ts';

export const seconds = 20;
const tickMs = 250;
const bytesPerTick = 8 * 1024; // 32 KiB a second, the rate of uncompressed stereo at 8 kHz

export interface SlowFigure {
  idleMB: number;
  peakMB: number;
  /** What the slowest listener received. */
  leastKiB: number;
}

/**
 * Memory of listeners that read a recording as fast as it is played.
 *
 * @param first the position in bytes at which the listener with this index starts
 */
export async function slowListeners(
  serving: Serving,
  library: Library,
  listeners: number,
  first = (_index: number) => 0,
): Promise<SlowFigure> {
  // Read each recording once, so that the memory for the first response is not counted.
  for (const path of serving.paths) await (await fetch(serving.url + path)).arrayBuffer();
  await sleep(1_000);
  const idle = residentBytes(serving);

  const sockets = Array.from({ length: listeners }, (_, index) =>
    listen(serving, serving.paths[index % library.names.length]!, first(index)),
  );
  const received = new Array<number>(listeners).fill(0);
  let peak = 0;
  for (let tick = 0; tick < (seconds * 1000) / tickMs; tick++) {
    await sleep(tickMs);
    for (const [index, socket] of sockets.entries()) {
      const chunk = (socket.read(bytesPerTick) ?? socket.read()) as Buffer | null;
      received[index]! += chunk?.length ?? 0;
    }
    peak = Math.max(peak, residentBytes(serving));
  }
  for (const socket of sockets) socket.destroy();
  const MB = (bytes: number) => Math.round(bytes / 1e6);
  return { idleMB: MB(idle), peakMB: MB(peak), leastKiB: Math.round(Math.min(...received) / 1024) };
}

/** A connection that has requested a recording from `first` on. Its socket is read by hand. */
function listen({ url }: Serving, path: string, first: number): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => {}).on('readable', () => {});
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nRange: bytes=${first}-\r\n\r\n`);
  return socket;
}
