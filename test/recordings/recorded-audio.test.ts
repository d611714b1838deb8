import { execFileSync, spawnSync } from 'node:child_process';
import { readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { isPlayable } from '../../src/recordings/recording.ts';
import { longRecording, startGateway } from '../gateway.ts';

const recording = await longRecording(2);
const file = 'inbound-caller1.flac';

async function bytesOf(url: string, headers: Record<string, string> = {}): Promise<Buffer> {
  return Buffer.from(await (await fetch(url, { headers })).arrayBuffer());
}

async function codeOf(url: string): Promise<string> {
  return ((await (await fetch(url)).json()) as { code: string }).code;
}

/** The only file in the store of a gateway. */
async function pathOf({ parts, dataDir }: Awaited<ReturnType<typeof startGateway>>): Promise<string> {
  const { key } = await parts.db.kysely.selectFrom('recordings').select('key').executeTakeFirstOrThrow();
  return join(dataDir, 'recordings', key!);
}

/** Changes one byte and keeps the size and the time, as a disk that rots does. */
async function rot(path: string): Promise<void> {
  execFileSync('cp', ['-p', path, `${path}.before`]);
  const bytes = await readFile(path);
  bytes[bytes.length - 5000]! ^= 1;
  await writeFile(path, bytes);
  execFileSync('touch', ['-r', `${path}.before`, path]);
  await rm(`${path}.before`);
}

/** Each copies the folder `from` to the folder `to`, which does not exist yet, and loses the times in its own way. */
const copies: [tool: string, copy: (from: string, to: string) => void][] = [
  ['cp -r', (from, to) => execFileSync('cp', ['-r', from, to])],
  ['rsync -r', (from, to) => execFileSync('rsync', ['-r', `${from}/`, to])],
  [
    'tar',
    (from, to) => execFileSync('sh', ['-c', `mkdir ${to} && tar -C ${from} -cf - . | tar -C ${to} -xmf -`]),
  ],
  [
    'zip',
    (from, to) =>
      execFileSync('sh', [
        '-c',
        `cd ${from} && zip -qr ${to}.zip . && unzip -q ${to}.zip -d ${to} && rm ${to}.zip`,
      ]),
  ],
];

for (const [name, copy] of copies) {
  const [tool] = name.split(' ') as [string];
  const skip = spawnSync('which', [tool]).status === 0 ? false : `${tool} is not installed`;
  t.test(`a store that was restored by ${name} plays`, { skip }, async (t) => {
    const gateway = await startGateway(t);
    const [long, short] = [await gateway.streamOf(recording), await gateway.streamOf(file)];
    const store = join(gateway.dataDir, 'recordings');
    copy(store, `${store}-copy`);
    await rm(store, { recursive: true });
    await rename(`${store}-copy`, store);

    const parts = await Promise.all(
      [0, 100_000, 2_000_000].map((first) => bytesOf(long, { range: `bytes=${first}-${first + 99}` })),
    );
    for (const [index, first] of [0, 100_000, 2_000_000].entries())
      t.ok(parts[index]!.equals(recording.subarray(first, first + 100)), `range from ${first}`);
    t.ok((await bytesOf(long)).equals(recording));
    t.ok((await bytesOf(short)).length > 1000);
  });
}

t.test('bytes are compared once for all who wait, and the version that is found is pinned', async (t) => {
  const gateway = await startGateway(t);
  const url = await gateway.streamOf(recording);
  const path = await pathOf(gateway);
  await utimes(path, 1, 1);
  let wholeReads = 0;
  const { read } = gateway.parts.wholeAudio;
  gateway.parts.wholeAudio.read = function (key, range, ...rest) {
    if (range.first === 0 && range.last === recording.length - 1) wholeReads++;
    return read.call(this, key, range, ...rest);
  };
  const bodies = await Promise.all(Array.from({ length: 20 }, () => bytesOf(url, { range: 'bytes=5-9' })));
  for (const body of bodies) t.ok(body.equals(recording.subarray(5, 10)));
  t.equal(wholeReads, 1);
  await bytesOf(url, { range: 'bytes=5-9' });
  t.equal(wholeReads, 1);
});

t.test('other bytes are denied, and are not read again for each request', async (t) => {
  const gateway = await startGateway(t);
  const url = await gateway.streamOf(recording);
  const path = await pathOf(gateway);
  const other = Buffer.from(recording);
  other[1_000_000]! ^= 1;
  await writeFile(path, other);
  for (let attempt = 0; attempt < 5; attempt++) t.equal(await codeOf(url), 'version_changed');
  const { verifications } = gateway.parts.metrics;
  const counted = (await verifications.get()).values.find(({ labels }) => labels.state === 'damaged');
  t.equal(counted?.value, 1);
});

t.test(
  'a byte that changed by itself is found by the verification, and the recording no longer plays',
  async (t) => {
    const gateway = await startGateway(t);
    const url = await gateway.streamOf(recording);
    const path = await pathOf(gateway);
    const { parts } = gateway;
    const verify = async () => {
      const found = (await parts.catalog.read('acct', 'bytes'))!;
      if (!found.key) throw new Error('no audio');
      const verification = await parts.recordedAudio.verify(
        { ...found, key: found.key },
        new AbortController().signal,
      );
      if (!verification) throw new Error('replaced meanwhile');
      await parts.recordedAudio.record({ ...found, key: found.key }, verification);
      return verification.state;
    };
    t.equal(await verify(), 'intact');
    await rot(path);
    t.equal((await fetch(url)).status, 200, 'nothing has noticed yet');
    t.equal(await verify(), 'damaged');
    t.equal(await codeOf(url), 'audio_damaged');
    await writeFile(path, recording);
    t.equal(await verify(), 'copied');
    t.ok((await bytesOf(url)).equals(recording), 'the right bytes are back');
  },
);

/** Moves the verification of every recording into the past. */
async function makeDue({ parts }: Awaited<ReturnType<typeof startGateway>>) {
  await parts.db.kysely.updateTable('recordings').set({ verified_at: 0 }).execute();
}

t.test('the right bytes of a damaged recording play once somebody listens', async (t) => {
  const gateway = await startGateway(t);
  const url = await gateway.streamOf(recording);
  const { key, originEtag } = (await gateway.parts.catalog.read('acct', 'bytes'))!;
  await makeDue(gateway);
  const found = (await gateway.parts.catalog.read('acct', 'bytes'))!;
  await gateway.parts.recordedAudio.record({ ...found, key: key! }, { state: 'damaged' });
  t.ok((await bytesOf(url)).equals(recording));
  t.match(await gateway.parts.catalog.read('acct', 'bytes'), { damagedAt: null, originEtag });
});

t.test('a recording that is erased while it is verified is neither damaged nor missing', async (t) => {
  const gateway = await startGateway(t);
  await gateway.streamOf(recording);
  const { catalog, recordedAudio, metrics } = gateway.parts;
  const before = await catalog.read('acct', 'bytes');
  if (!isPlayable(before)) throw new Error('no audio');
  await gateway.v1('/recordings/acct/bytes', { method: 'DELETE' });
  t.equal(await recordedAudio.verify(before, new AbortController().signal), undefined);
  for (const { value } of (await metrics.verifications.get()).values) t.equal(value, 0);
});

t.test('a verification finds the digests of blocks that an earlier version did not store', async (t) => {
  const gateway = await startGateway(t);
  await gateway.streamOf(recording);
  const { catalog, recordedAudio, db } = gateway.parts;
  const right = (await catalog.read('acct', 'bytes'))!.blockDigests;
  t.equal(right?.length, 3 * 64, 'one for each block');
  await db.kysely.deleteFrom('block_digests').execute();
  const before = await catalog.read('acct', 'bytes');
  if (!isPlayable(before)) throw new Error('no audio');
  t.equal(before.blockDigests, undefined);
  await recordedAudio.record(before, (await recordedAudio.verify(before, new AbortController().signal))!);
  t.equal(
    (await catalog.get('acct', 'bytes'))!.blockDigests,
    right,
    'known at once, though it was in memory',
  );
});
