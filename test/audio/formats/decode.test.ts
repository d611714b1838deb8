import { readFileSync } from 'node:fs';
import t from 'tap';
import { Finding } from '../../../src/audio/finding.ts';
import type { DecodedChunk } from '../../../src/audio/formats/format.ts';
import { rates } from '../../../src/audio/formats/mp4/aac.ts';
import { find, readBoxes } from '../../../src/audio/formats/mp4/boxes.ts';
import { findFfmpeg, loadNative, type Mp4Decoder } from '../../../src/audio/formats/mp4/mp4-decoder.ts';
import { aacEntry } from '../../../src/audio/formats/mp4/remux.ts';
import { readUnitTable } from '../../../src/audio/formats/mp4/unit-table.ts';
import { decodeUnits } from '../../../src/audio/formats/mp4/units.ts';
import { SourceReader } from '../../../src/audio/source-reader.ts';
import { readStructure } from '../../../src/audio/structure.ts';
import { block, chunk, format, sourceOf, streamInfo, wav } from '../hostile.ts';

const fixture = (name: string) => readFileSync(new URL(`../../../fixtures/${name}`, import.meta.url));

type Channels = [first: number[], second: number[]];

function readerOf(bytes: Uint8Array): SourceReader {
  const reader = new SourceReader(sourceOf(bytes));
  reader.allow(100_000_000, 60_000);
  return reader;
}

/** All samples of both channels. */
async function concatenated(chunks: AsyncIterable<DecodedChunk>): Promise<Channels> {
  const channels: Channels = [[], []];
  for await (const chunk of chunks) {
    for (const channel of [0, 1] as const)
      for (const sample of chunk[channel]) channels[channel].push(sample);
  }
  return channels;
}

async function samplesOf(bytes: Uint8Array): Promise<Channels> {
  const reader = readerOf(bytes);
  const { track } = await readStructure(reader, {});
  return concatenated((await track!.decode(reader))!);
}

/** A second of equal sample frames: `first` on channel 1, `second` on channel 2. */
function constant(tag: number, bits: number, first: number[], second: number[]): Buffer {
  return wav(
    format({ tag, bits }),
    chunk('data', Buffer.alloc(8000 * 2 * first.length, Buffer.from([...first, ...second]))),
  );
}

const float32 = (value: number) => [...new Uint8Array(Float32Array.of(value).buffer)];
const float64 = (value: number) => [...new Uint8Array(Float64Array.of(value).buffer)];
const encodings: [outcome: string, bytes: Uint8Array, first: number, second: number][] = [
  ['8 bits, unsigned', constant(1, 8, [0xff], [0x40]), 127 / 128, -0.5],
  ['16 bits', constant(1, 16, [0x00, 0x40], [0x00, 0x80]), 0.5, -1],
  ['24 bits', constant(1, 24, [0, 0, 0x40], [0, 0, 0x80]), 0.5, -1],
  ['32 bits', constant(1, 32, [0, 0, 0, 0x40], [0, 0, 0, 0x80]), 0.5, -1],
  ['float of 32 bits', constant(3, 32, float32(0.25), float32(-0.75)), 0.25, -0.75],
  ['float of 64 bits', constant(3, 64, float64(0.25), float64(-0.75)), 0.25, -0.75],
  ['µ-law, the loudest of both signs', constant(7, 8, [0x80], [0x00]), 32_124 / 32_768, -32_124 / 32_768],
  ['µ-law, the two zeros', constant(7, 8, [0xff], [0x7f]), 0, 0],
  ['A-law, the loudest of both signs', constant(6, 8, [0xaa], [0x2a]), 32_256 / 32_768, -32_256 / 32_768],
  ['A-law, the quietest of both signs', constant(6, 8, [0xd5], [0x55]), 8 / 32_768, -8 / 32_768],
];

t.test('every encoding of WAV gives the exact samples', async (t) => {
  for (const [outcome, bytes, first, second] of encodings) {
    const [left, right] = await samplesOf(bytes);
    t.strictSame([left.length, right.length], [8000, 8000], `${outcome}: every sample`);
    t.ok(
      left.every((sample) => sample === first) && right.every((sample) => Object.is(sample + 0, second)),
      outcome,
    );
  }
});

/** The correlation of two signals, from -1 to 1. */
function correlation(a: number[], b: number[]): number {
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
    ab += a[i]! * b[i]!;
  }
  return ab / Math.sqrt(aa * bb);
}

const native = await loadNative();
const ffmpeg = await findFfmpeg();
/** For `skip`: the reason, or false if the decoder is there. */
const lacking = (decoder: unknown, what: string) => (decoder ? false : `${what} is not installed`);
const noNative = lacking(native, 'ALSA’s library (libasound2)');

t.test('every codec decodes the same call, without delay and on the same channels', async (t) => {
  const [left, right] = await samplesOf(fixture('plain.wav'));
  for (const [name, skip] of [
    ['plain.flac', false],
    ['plain.mp4', noNative],
    ['plain.m4a', noNative],
  ] as const) {
    t.test(name, { skip }, async (t) => {
      const [first, second] = await samplesOf(fixture(name));
      t.ok(Math.abs(first.length - left.length) < 1100, `${first.length} samples of ${left.length}`);
      t.ok(correlation(first, left) > 0.95 && correlation(second, right) > 0.95);
    });
  }
});

const noFfmpeg = noNative || lacking(ffmpeg, 'ffmpeg');
for (const name of ['plain.mp4', 'plain.m4a']) {
  t.test(`${name}: ffmpeg decodes the same as the native decoder`, { skip: noFfmpeg }, async (t) => {
    const decodedBy = async (decoder: Mp4Decoder) => {
      const reader = readerOf(fixture(name));
      const top = await readBoxes(reader);
      const moov = top.find(({ type }) => type === 'moov')!;
      const table = await readUnitTable(reader, top, find(moov, 'trak')!);
      const units = {
        entry: aacEntry(rates.indexOf(8000), 2),
        sampleRate: 8000,
        unitSampleFrames: 1024,
        primingSampleFrames: 0,
        ...table,
      };
      return concatenated(decodeUnits(reader, units, decoder));
    };
    const [left, right] = await decodedBy(native!);
    const [first, second] = await decodedBy(ffmpeg!);
    t.equal(first.length, left.length);
    t.ok(correlation(first, left) > 0.99 && correlation(second, right) > 0.99);
  });
}

t.test('FLAC is decoded without loss', async (t) => {
  const [left] = await samplesOf(fixture('plain.wav'));
  const [first] = await samplesOf(fixture('plain.flac'));
  const maxError = left.reduce((most, sample, i) => Math.max(most, Math.abs(sample - first[i]!)), 0);
  t.ok(left.length === first.length && maxError < 1 / 32_000, `off by at most ${maxError}`);
});

/** The same bytes with one of them changed. */
function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = new Uint8Array(bytes);
  changed[at]! ^= 0x55;
  return changed;
}

t.test('damage inside the audio is found, wherever it is', async (t) => {
  const flac = fixture('plain.flac');
  for (const part of [0.2, 0.4, 0.6, 0.8]) {
    const bytes = flip(flac, Math.floor(flac.length * part));
    await t.rejects(samplesOf(bytes), { message: 'corrupt_audio' }, `FLAC at ${part}`);
  }
  const middle = Math.floor(flac.length / 2);
  const without = Buffer.concat([flac.subarray(0, middle), flac.subarray(middle + 1)]);
  await t.rejects(samplesOf(without), { message: 'corrupt_audio' }, 'FLAC with a byte missing');
});

t.test('FLAC that crashes the decoder is a finding, not an error', async (t) => {
  // One complete FLAC frame of 16 samples with right checksums. The decoder leaves its memory.
  const frame = Buffer.from('fff86488000fc512000600d44923849c69bf529420d00000008ebc', 'hex');
  const bytes = Buffer.concat([Buffer.from('fLaC'), block(0, streamInfo(16), true), frame]);
  await t.rejects(samplesOf(bytes), { message: 'corrupt_audio' });
});

t.test('damage inside AAC is found', { skip: noNative }, async (t) => {
  await t.rejects(samplesOf(fixture('corrupt.mp4')), Finding);
});
