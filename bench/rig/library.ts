import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The recordings that every peer serves in a run: the same files, in page cache. */
export interface Library {
  /** A temporary folder. Each peer has its own files in it. */
  folder: string;
  /** Where the recordings are. */
  recordings: string;
  names: string[];
  /** Bytes of each recording. */
  size: number;
  remove(): void;
}

const MiB = 1024 ** 2;
const headerBytes = 44;

/** @param count how many recordings of 30 MiB: a real call, repeated, with another first sample in each */
export function makeLibrary(count: number): Library {
  const source = readFileSync(new URL('../../fixtures/inbound-caller1.wav', import.meta.url));
  const size = 30 * MiB;
  const recording = Buffer.alloc(size);
  source.copy(recording, 0, 0, headerBytes);
  for (let at = headerBytes; at < size; at += source.length - headerBytes)
    source.copy(recording, at, headerBytes);
  recording.writeUInt32LE(size - 8, 4);
  recording.writeUInt32LE(size - headerBytes, headerBytes - 4);

  const folder = mkdtempSync(join(tmpdir(), 'playhead-bench-'));
  execFileSync('chmod', ['755', folder]); // nginx's worker runs as another user
  const recordings = join(folder, 'recordings');
  mkdirSync(recordings);
  const names = Array.from({ length: count }, (_, index) => {
    recording.writeInt16LE(index, headerBytes);
    writeFileSync(join(recordings, `${index}.wav`), recording);
    return `${index}.wav`;
  });
  return { folder, recordings, names, size, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
