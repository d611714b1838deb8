import { makeLibrary } from './rig/library.ts';
import { machine } from './rig/machine.ts';
import { type Peer, peers } from './rig/peers.ts';
import { save, table } from './rig/report.ts';
import { type SlowFigure, seconds, slowListeners } from './rig/slow.ts';

const measured: Peer[] = [peers.playhead, peers.nginxStatic, peers.fastifyStatic];
const listeners = 500;

interface Figure extends SlowFigure {
  peer: string;
}

/** Memory of slow listeners. Each reads a recording as fast as it is played. */
export async function run(): Promise<void> {
  const library = makeLibrary(16);
  const figures: Figure[] = [];
  try {
    for (const peer of measured) {
      const serving = await peer.start(library);
      try {
        figures.push({ peer: peer.name, ...(await slowListeners(serving, library, listeners)) });
      } finally {
        await serving.stop();
      }
    }
  } finally {
    library.remove();
  }
  save('listeners', {
    title: `Memory of ${listeners} slow listeners`,
    machine: machine(),
    figures,
    text: [
      `Each of ${listeners} listeners reads a recording of 30 MiB at 32 KiB a second, for ${seconds} s. Resident memory of the
serving process before and at its peak (aim: at most 100 MB more), and what the slowest listener received.`,
      table(
        ['', 'idle MB', 'peak MB', 'added MB', 'least KiB'],
        figures.map(({ peer, idleMB, peakMB, leastKiB }) => [
          peer,
          ...[idleMB, peakMB, peakMB - idleMB, leastKiB].map(String),
        ]),
      ),
    ],
  });
}
