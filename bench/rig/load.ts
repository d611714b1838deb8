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
const headBytes = 2048; // more than the head of any peer's response

/**
 * Requests ranges with wrk, from the other core.
 *
 * @param requests repeated in this order
 * @param from index of the first request
 * @throws Error if a response failed or had another length than the range
 */
export async function load(
  serving: Serving,
  library: Library,
  workload: Workload,
  seconds: number,
  requests = anywhere(workload, serving.paths, library.size),
  from = 0,
): Promise<Load> {
  const list = join(library.folder, 'requests');
  const lines = requests.map(({ path, range }) => (range ? `${path} ${range.first} ${range.last}` : path));
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

  const { requests: completed, bytes, failed, microseconds } = summary;
  const expected = workload.length || library.size;
  const unfinished = connections * (expected + headBytes); // the responses that were cut off at the end
  const fits = bytes >= completed * expected && bytes <= completed * (expected + headBytes) + unfinished;
  if (failed > 0 || bytes === 0 || !fits) throw new Error(`Wrong responses: ${JSON.stringify(summary)}`);
  return { requests: completed, bytes, seconds: microseconds / 1e6 };
}

/** Compares a random range of each recording with its file, before the measurement. */
export async function verify(serving: Serving, library: Library): Promise<void> {
  for (const [index, path] of serving.paths.entries()) {
    const length = 65_536;
    const first = Math.floor(Math.random() * (library.size - length));
    const headers = { range: `bytes=${first}-${first + length - 1}` };
    const response = await fetch(serving.url + path, { headers });
    const bytes = Buffer.from(await response.arrayBuffer());
    const expected = Buffer.alloc(length);
    await using file = await open(join(library.recordings, library.names[index]!));
    await file.read(expected, 0, length, first);
    if (response.status !== 206 || !bytes.equals(expected))
      throw new Error(`${path}: ${response.status}, wrong bytes`);
  }
}
