import { createHash } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { Agent, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { fixtures, longRecording, startGateway } from '../gateway.ts';
import { openStream } from '../listener.ts';
import { bufferBytes } from '../memory.ts';
import { until } from '../until.ts';

const files = [
  'inbound-caller1.wav',
  'inbound-caller1.flac',
  'inbound-caller1.mp4',
  'inbound-caller1-moov-last.mp4',
];
const gateway = await startGateway(t);

async function rangeOf(url: string, first: number, last: number): Promise<Buffer> {
  const response = await fetch(url, { headers: { range: `bytes=${first}-${last}` } });
  if (response.status !== 206) throw new Error(`status ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}

/** Paths of the recordings that this process has open. */
async function openRecordings(): Promise<string[]> {
  const names = await readdir('/proc/self/fd');
  const paths = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')));
  return paths.filter((path) => path.startsWith(join(gateway.dataDir, 'recordings')));
}

async function activeStreams(): Promise<number> {
  const { values } = await gateway.parts.metrics.activeStreams.get();
  return values[0]!.value;
}

for (const file of files) {
  t.test(`${file}: any range is the same slice of the file`, async (t) => {
    const whole = await readFile(join(fixtures, file));
    const url = await gateway.streamOf(file);
    const position = fc.nat(whole.length - 1);
    await fc.assert(
      fc.asyncProperty(position, position, async (one, other) => {
        const [first, last] = [Math.min(one, other), Math.max(one, other)];
        const bytes = await rangeOf(url, first, last);
        return bytes.equals(whole.subarray(first, last + 1));
      }),
      { numRuns: 200, seed: 1 },
    );
    t.pass('200 random ranges');
  });
}

t.test('64 ranges requested at once make up the file', async (t) => {
  const bytes = await longRecording(24);
  const url = await gateway.streamOf(bytes);
  const step = Math.ceil(bytes.length / 64);
  const parts = await Promise.all(
    Array.from({ length: 64 }, (_, index) =>
      rangeOf(url, index * step, Math.min((index + 1) * step, bytes.length) - 1),
    ),
  );
  const digest = (buffer: Buffer) => createHash('sha256').update(buffer).digest('hex');
  t.equal(digest(Buffer.concat(parts)), digest(bytes));
});

t.test('a listener that stops reading takes less than 2 MB of memory', async (t) => {
  const url = await gateway.streamOf(await longRecording(24));
  const listeners = 100;
  const before = bufferBytes();
  const responses = await listenWithoutReading(url, listeners);
  t.equal(await activeStreams(), listeners);
  await new Promise((resolve) => setTimeout(resolve, 500)); // time to take more than it should
  const held = (bufferBytes() - before) / listeners;
  t.ok(held < 2 * 1024 * 1024, `${Math.round(held / 1024)} KiB each, with what the listener holds`);
  for (const response of responses) response.destroy();
});

t.test('a listener that disconnects frees what it used', async (t) => {
  const url = await gateway.streamOf('inbound-caller1.wav', { externalId: 'leaves' });
  const responses = await listenWithoutReading(url, 20);
  for (const response of responses) response.destroy();
  t.ok(await until(async () => (await activeStreams()) === 0));
  t.ok(
    (await openRecordings()).length <= files.length + 2,
    'one descriptor for each recording of this file, however many listened',
  );
});

/** Opens streams and reads only the head of each response. */
function listenWithoutReading(url: string, listeners: number): Promise<IncomingMessage[]> {
  const agent = new Agent({ maxSockets: listeners });
  const listen = async () => (await openStream(url, agent)).on('error', () => {});
  return Promise.all(Array.from({ length: listeners }, listen));
}

t.test('an erased recording is not kept open', async (t) => {
  for (const { externalId } of (await listed()).recordings) {
    await gateway.v1(`/recordings/acct/${encodeURIComponent(externalId)}`, { method: 'DELETE' });
  }
  t.ok(await until(async () => (await openRecordings()).length === 0));
});

async function listed(): Promise<{ recordings: { externalId: string }[] }> {
  return (await (await gateway.v1('/recordings?accountId=acct')).json()) as never;
}

t.test('a stream whose origin breaks is aborted, and never ends as if it were complete', async (t) => {
  const url = await gateway.streamOf('inbound-caller1.wav', { externalId: 'breaks' });
  const { read } = gateway.parts.origins.store;
  gateway.parts.origins.store.read = async function (...args) {
    const bytes = await read.apply(this, args);
    return (async function* () {
      for await (const chunk of bytes) {
        yield chunk.subarray(0, 1000);
        throw new Error('the disk is gone');
      }
    })();
  };
  const response = await fetch(url);
  t.equal(response.status, 200);
  await t.rejects(response.arrayBuffer(), 'the connection breaks');
});
