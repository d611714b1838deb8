import { execFile } from 'node:child_process';
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Library } from './library.ts';
import { loadCore } from './machine.ts';
import type { Serving } from './peers.ts';
import { anywhere, type Workload } from './workload.ts';

export interface Load {
  requests: number;
  /** Bytes received, heads included. */
  bytes: number;
  seconds: number;
}

const connections = 16;
const headBytes = 2048; // more than any peer's answer has before its body

/**
 * Asks for ranges with wrk, from the other core.
 *
 * @param asks what, in order, over and over
 * @param from how many of them to pass over at first
 * @throws Error where an answer failed or was not as long as what was asked for
 */
export async function load(
  serving: Serving,
  library: Library,
  workload: Workload,
  seconds: number,
  asks = anywhere(workload, serving.paths, library.size),
  from = 0,
): Promise<Load> {
  const list = join(library.folder, 'asks');
  const lines = asks.map(({ path, range }) => (range ? `${path} ${range.first} ${range.last}` : path));
  await writeFile(list, lines.join('\n'));
  const script = new URL('./ranges.lua', import.meta.url).pathname;
  const wrk = [
    'wrk',
    '-t1',
    `-c${connections}`,
    `-d${seconds}`,
    '--timeout',
    '30s',
    '-s',
    script,
    serving.url,
  ];
  const args = ['--', list, String(from)];
  const { stdout } = await promisify(execFile)('taskset', ['-c', String(loadCore), ...wrk, ...args]);
  const summary = JSON.parse(stdout.trim().split('\n').at(-1)!);

  const { requests, bytes, failed, microseconds } = summary;
  const expected = workload.length || library.size;
  const unfinished = connections * (expected + headBytes); // what was on its way when time was up
  const fits = bytes >= requests * expected && bytes <= requests * (expected + headBytes) + unfinished;
  if (failed > 0 || bytes === 0 || !fits) throw new Error(`Wrong answers: ${JSON.stringify(summary)}`);
  return { requests, bytes, seconds: microseconds / 1e6 };
}

/** Compares a few random ranges with the file, byte for byte, before anything is measured. */
export async function verify(serving: Serving, library: Library): Promise<void> {
  for (const [index, path] of serving.paths.entries()) {
    const length = 65_536;
    const first = Math.floor(Math.random() * (library.size - length));
    const headers = { range: `bytes=${first}-${first + length - 1}` };
    const answer = await fetch(serving.url + path, { headers });
    const bytes = Buffer.from(await answer.arrayBuffer());
    const expected = Buffer.alloc(length);
    await using file = await open(join(library.recordings, library.names[index]!));
    await file.read(expected, 0, length, first);
    if (answer.status !== 206 || !bytes.equals(expected))
      throw new Error(`${path}: ${answer.status}, wrong bytes`);
  }
}
