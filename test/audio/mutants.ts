import { Finding } from '../../src/audio/finding.ts';
import { all, find, readBoxes } from '../../src/audio/formats/mp4/boxes.ts';
import { readUnitTable } from '../../src/audio/formats/mp4/unit-table.ts';
import { SourceReader } from '../../src/audio/source-reader.ts';
import { readStructure } from '../../src/audio/structure.ts';
import type { Container } from '../../src/unions.ts';
import { random, sourceOf } from './hostile.ts';

/** A file that was whole once, and whether what was done to it took audio away. */
export interface Mutant {
  outcome: string;
  bytes: Uint8Array;
  /** Sample frames of the file it was made from: a mutant with fewer of them may never pass. */
  frames: number;
  /** Part of the audio is not in the file any more. */
  cut: boolean;
}

/** Offsets at which chunks, metadata blocks and boxes begin and end. */
function boundariesOf(bytes: Buffer): number[] {
  const start = bytes.toString('latin1', 0, 4);
  if (start === 'fLaC') return walk(bytes, 4, bytes.length, (at) => 4 + bytes.readUIntBE(at + 1, 3), 40);
  if (/^(RIFF|RF64)/.test(start))
    return walk(bytes, 12, bytes.length, (at) => 8 + bytes.readUInt32LE(at + 4), 40);
  return boxes(bytes, 0, bytes.length);
}

function walk(
  bytes: Buffer,
  from: number,
  to: number,
  sizeAt: (at: number) => number,
  most: number,
): number[] {
  const found = [0, 4, 8, 12];
  for (let at = from; at + 8 <= to && found.length < most; at += sizeAt(at)) found.push(at);
  return [...found, bytes.length];
}

function boxes(bytes: Buffer, from: number, to: number): number[] {
  const found: number[] = [];
  for (let at = from; at + 8 <= to; ) {
    const size = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    found.push(at, at + 8);
    if (/^(moov|trak|mdia|minf|stbl|moof|traf|udta|edts)$/.test(type))
      found.push(...boxes(bytes, at + 8, at + size));
    at += Math.max(8, size);
  }
  return [...found, to];
}

/** Where the last byte of audio ends, and how many sample frames there are; nothing for a file that is refused. */
async function audioOf(bytes: Buffer): Promise<{ end: number; frames: number } | undefined> {
  const reader = new SourceReader(sourceOf(bytes));
  reader.allow(10_000_000, 5000);
  try {
    const { track, audio } = await readStructure(reader, {});
    if (!track) return undefined;
    const frames = Math.round(audio.durationSeconds! * audio.sampleRate!);
    return { frames, end: await endOfAudio[audio.container!](bytes, reader) };
  } catch (error) {
    if (error instanceof Finding) return undefined;
    throw error;
  }
}

const endOfAudio: Record<Container, (bytes: Buffer, reader: SourceReader) => number | Promise<number>> = {
  wav: (bytes) => {
    const data = bytes.indexOf('data', 12, 'latin1');
    const size = bytes.readUInt32LE(data + 4);
    // A recorder that streams leaves no size, and its audio goes on to the end of the file.
    return size === 0 ? bytes.length : Math.min(bytes.length, data + 8 + size);
  },
  flac: (bytes) => bytes.length,
  mp4: async (_bytes, reader) => {
    const top = await readBoxes(reader);
    const moov = top.find(({ type }) => type === 'moov')!;
    const trak = all(moov, 'trak').find((box) => find(box, 'mdia', 'minf', 'smhd'))!;
    const { offsets, sizes } = await readUnitTable(reader, top, trak);
    return offsets.reduce((most, offset, i) => Math.max(most, offset + sizes[i]!), 0);
  },
};

/** What is done to a file: the bytes that come of it. */
const mutations: ((bytes: Uint8Array, next: () => number) => Uint8Array)[] = [
  // Most damage that matters is in the head.
  (bytes, next) => change(bytes, next, Math.min(bytes.length, 512), 1 + Math.floor(next() * 4)),
  (bytes, next) => change(bytes, next, bytes.length, 1 + Math.floor(next() * 20)),
  (bytes, next) => change(bytes, next, bytes.length, 200),
  (bytes, next) =>
    spread(bytes, next, (at) => bytes.copyWithin(at, Math.floor(next() * bytes.length), bytes.length)),
  (bytes, next) => spread(bytes, next, (at) => bytes.fill(next() < 0.5 ? 0 : 255, at, at + 64)),
  (bytes, next) =>
    spread(bytes, next, (at) =>
      new DataView(bytes.buffer).setUint32(
        Math.min(at, bytes.length - 4),
        extremes[Math.floor(next() * extremes.length)]!,
        next() < 0.5,
      ),
    ),
];

/** Below this there is nothing to damage. */
const smallest = 16;

const extremes = [0, 1, 7, 8, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff];

function change(bytes: Uint8Array, next: () => number, within: number, times: number): Uint8Array {
  for (let i = 0; i < times; i++) bytes[Math.floor(next() * within)] = Math.floor(next() * 256);
  return bytes;
}

/** Does it once, in the head as often as anywhere else. */
function spread(bytes: Uint8Array, next: () => number, act: (at: number) => unknown): Uint8Array {
  act(Math.floor(next() * (next() < 0.5 ? Math.min(512, bytes.length) : bytes.length)));
  return bytes;
}

/**
 * `count` mutants of `files`, the same for the same seed: each file cut at every structural boundary and beside
 * it, then cut and changed at random.
 */
export async function* mutantsOf(
  files: Record<string, Buffer>,
  count: number,
  seed: number,
): AsyncGenerator<Mutant> {
  const next = random(seed);
  const originals = await Promise.all(
    Object.entries(files)
      .filter(([, bytes]) => bytes.length >= smallest)
      .map(async ([name, bytes]) => ({ name, bytes, audio: await audioOf(bytes) })),
  );
  const cuts = originals.flatMap(({ name, bytes, audio }) =>
    [...new Set(boundariesOf(bytes).flatMap((at) => [at - 1, at, at + 1]))]
      .filter((at) => at >= 0 && at < bytes.length)
      .map((at) => ({ name, bytes, audio, at })),
  );
  for (let made = 0; made < count; made++) {
    // As many cuts as can be had, but never more than half of all.
    const cut = made % 2 === 0 ? cuts.splice(Math.floor(next() * cuts.length), 1)[0] : undefined;
    const { name, bytes, audio } = cut ?? originals[Math.floor(next() * originals.length)]!;
    const { frames, end } = audio ?? { frames: 0, end: 0 };
    const at = cut?.at ?? (next() < 0.2 ? Math.floor(next() * bytes.length) : undefined);
    if (at !== undefined) {
      yield { outcome: `${name} cut at ${at}`, bytes: bytes.subarray(0, at), frames, cut: at < end };
    } else {
      const kind = Math.floor(next() * mutations.length);
      yield {
        outcome: `${name} mutated (${kind}, ${made})`,
        bytes: mutations[kind]!(new Uint8Array(bytes), next),
        frames,
        cut: false,
      };
    }
  }
}
