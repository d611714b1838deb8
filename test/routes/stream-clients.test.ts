import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { fixtures, longRecording, startGateway } from '../gateway.ts';

const run = promisify(execFile);
const limits = { timeout: 60_000, maxBuffer: 64 * 1024 * 1024 };
const gateway = await startGateway(t);
const long = await longRecording(24);
const longUrl = await gateway.streamOf(long);
const movie = 'inbound-caller1-moov-last.mp4';
const movieUrl = await gateway.streamOf(movie);

/** Bytes of a broken download. It ends within a block and within a sample. */
const receivedBytes = 1_234_567;

function installed(tool: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** A test with a program of this machine. It is skipped if the program is missing. */
function withTool(tool: string, outcome: string, body: (t: Test) => Promise<void>): void {
  t.test(`${tool} ${outcome}`, { skip: installed(tool) ? false : `${tool} is not installed` }, body);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Makes each read of the store wait after its first chunk until `count` reads have begun. */
function startTogether(t: Test, count: number): void {
  const { origins } = gateway.parts;
  const { store } = origins;
  const begun = Promise.withResolvers<void>();
  let reads = 0;
  async function* held(bytes: AsyncIterable<Uint8Array>) {
    for await (const chunk of bytes) {
      yield chunk;
      await begun.promise;
    }
  }
  origins.store = {
    stat: (...args) => store.stat(...args),
    async read(...args) {
      const bytes = await store.read(...args);
      if (++reads === count) begun.resolve();
      return held(bytes);
    },
  };
  t.teardown(() => {
    origins.store = store;
  });
}

/** A download that broke after `receivedBytes` bytes, in a folder of the test. */
async function brokenDownload(t: Test): Promise<string> {
  const file = join(t.testdir({}), 'call.wav');
  await writeFile(file, long.subarray(0, receivedBytes));
  return file;
}

withTool('curl', '-r downloads each kind of range', async (t) => {
  const size = long.length;
  const ranges: [range: string, slice: Uint8Array][] = [
    ['0-0', long.subarray(0, 1)],
    ['0-43', long.subarray(0, 44)],
    [`${receivedBytes}-${receivedBytes + 65_535}`, long.subarray(receivedBytes, receivedBytes + 65_536)],
    [`${size - 1}-`, long.subarray(size - 1)],
    ['-1000', long.subarray(size - 1000)],
    ['0-', long],
  ];
  for (const [range, slice] of ranges) {
    const { stdout } = await run('curl', ['-sfS', '-r', range, longUrl], { ...limits, encoding: 'buffer' });
    t.equal(sha256(stdout), sha256(slice), `${range}: ${slice.length} bytes`);
  }
});

withTool('curl', '-C - continues a broken download', async (t) => {
  const file = await brokenDownload(t);
  const { stdout } = await run(
    'curl',
    ['-sfS', '-C', '-', '-o', file, '-w', '%{http_code} %{size_download}', longUrl],
    limits,
  );
  t.equal(stdout, `206 ${long.length - receivedBytes}`, 'only the missing bytes');
  t.equal(sha256(await readFile(file)), sha256(long));
});

withTool('wget', '-c continues a broken download', async (t) => {
  const file = await brokenDownload(t);
  const { stderr } = await run('wget', ['-c', '-nv', '-S', '-O', file, longUrl], limits);
  t.match(stderr, '206 Partial Content');
  t.match(stderr, `content-range: bytes ${receivedBytes}-${long.length - 1}/${long.length}`);
  t.equal(sha256(await readFile(file)), sha256(long));
});

withTool('aria2c', '-x8 downloads a file over eight connections', async (t) => {
  const dir = t.testdir({});
  const split = ['-x8', '-s8', '--min-split-size=1M', '--file-allocation=none', '--allow-overwrite=true'];
  startTogether(t, 8); // with fewer connections the download never ends
  await run('aria2c', [...split, '--no-conf', '-q', '-d', dir, '-o', 'call.wav', longUrl], limits);
  t.equal(sha256(await readFile(join(dir, 'call.wav'))), sha256(long));
});

withTool('ffprobe', 'reads the duration of an MP4 whose index is at its end', async (t) => {
  const duration = ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0'];
  const [remote, local] = await Promise.all(
    [movieUrl, join(fixtures, movie)].map((source) => run('ffprobe', [...duration, source], limits)),
  );
  t.ok(Number(remote!.stdout) > 5, `${remote!.stdout.trim()} s`);
  t.equal(remote!.stdout, local!.stdout);
});

withTool('ffmpeg', '-ss near the end of that MP4 decodes the same sound as from disk', async (t) => {
  const decode = async (source: string) => {
    const args = ['-v', 'error', '-nostdin', '-ss', '15', '-i', source, '-t', '2', '-f', 's16le', 'pipe:1'];
    return (await run('ffmpeg', args, { ...limits, encoding: 'buffer' })).stdout;
  };
  const remote = await decode(movieUrl);
  t.ok(remote.length >= 2 * 8000 * 2, `${remote.length} bytes of sound`);
  t.equal(sha256(remote), sha256(await decode(join(fixtures, movie))));
});
