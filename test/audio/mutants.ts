import { Finding } from '../../src/audio/finding.ts';
import { all, find, readBoxes } from '../../src/audio/formats/mp4/boxes.ts';
import { readUnitTable } from '../../src/audio/formats/mp4/unit-table.ts';
import { SourceReader } from '../../src/audio/source-reader.ts';
import { readStructure } from '../../src/audio/structure.ts';
import type { Container } from '../../src/unions.ts';
import { type Random, seeded } from '../random.ts';
import { sourceOf } from './hostile.ts';

/** A file that was damaged, and whether the damage removed audio. */
export interface Mutant {
  /** The file and the damage. */
  name: string;
  bytes: Uint8Array;
  /** Of the original file. A mutant with fewer must never pass. */
  sampleFrames: number;
  /** Whether part of the audio is missing. */
  cut: boolean;
}

/** Offsets at which chunks, metadata blocks and boxes start and end. */
function boundariesOf(bytes: Buffer): number[] {
  const start = bytes.toString('latin1', 0, 4);
  if (start === 'fLaC') return chunkBoundaries(bytes, 4, (at) => 4 + bytes.readUIntBE(at + 1, 3));
  if (/^(RIFF|RF64)/.test(start)) return chunkBoundaries(bytes, 12, (at) => 8 + bytes.readUInt32LE(at + 4));
  return boxBoundaries(bytes, 0, bytes.length);
}

/** Those of the first chunks or metadata blocks. */
function chunkBoundaries(bytes: Buffer, from: number, sizeAt: (at: number) => number): number[] {
  const found = [0, 4, 8, 12];
  for (let at = from; at + 8 <= bytes.length && found.length < 40; at += sizeAt(at)) found.push(at);
  return [...found, bytes.length];
}

function boxBoundaries(bytes: Buffer, from: number, to: number): number[] {
  const found: number[] = [];
  for (let at = from; at + 8 <= to; ) {
    const size = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    found.push(at, at + 8);
    if (/^(moov|trak|mdia|minf|stbl|moof|traf|udta|edts)$/.test(type))
      found.push(...boxBoundaries(bytes, at + 8, at + size));
    at += Math.max(8, size);
  }
  return [...found, to];
}

/** The sample frames of a file, and where its last byte of audio ends. Undefined for a file that is rejected. */
async function audioOf(bytes: Buffer): Promise<{ end: number; sampleFrames: number } | undefined> {
  const reader = new SourceReader(sourceOf(bytes));
  reader.allow(10_000_000, 5000);
  try {
    const { track, audio } = await readStructure(reader, {});
    if (!track) return undefined;
    const sampleFrames = Math.round(audio.durationSeconds! * audio.sampleRate!);
    return { sampleFrames, end: await endOfAudio[audio.container!](bytes, reader) };
  } catch (error) {
    if (error instanceof Finding) return undefined;
    throw error;
  }
}

const endOfAudio: Record<Container, (bytes: Buffer, reader: SourceReader) => number | Promise<number>> = {
  wav: (bytes) => {
    const data = bytes.indexOf('data', 12, 'latin1');
    const size = bytes.readUInt32LE(data + 4);
    // A recorder that streams writes no size. Its audio ends with the file.
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

/** The kinds of damage. Each changes and returns `bytes`. */
const mutations: ((bytes: Uint8Array, random: Random) => Uint8Array)[] = [
  // A few bytes of the header, which matters most
  (bytes, random) => change(bytes, random, Math.min(bytes.length, 512), 1 + Math.floor(random() * 4)),
  // A few bytes anywhere
  (bytes, random) => change(bytes, random, bytes.length, 1 + Math.floor(random() * 20)),
  // Many bytes anywhere
  (bytes, random) => change(bytes, random, bytes.length, 200),
  // The end of the file, copied to another place
  (bytes, random) =>
    damageAt(bytes, random, (at) => bytes.copyWithin(at, Math.floor(random() * bytes.length), bytes.length)),
  // 64 equal bytes
  (bytes, random) => damageAt(bytes, random, (at) => bytes.fill(random() < 0.5 ? 0 : 255, at, at + 64)),
  // An extreme number of 32 bits, big-endian or little-endian
  (bytes, random) =>
    damageAt(bytes, random, (at) =>
      new DataView(bytes.buffer).setUint32(
        Math.min(at, bytes.length - 4),
        extremes[Math.floor(random() * extremes.length)]!,
        random() < 0.5,
      ),
    ),
];

/** A smaller file has nothing to damage. */
const minFileBytes = 16;

const extremes = [0, 1, 7, 8, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fff8, 0xffff_ffff];

function change(bytes: Uint8Array, random: Random, within: number, times: number): Uint8Array {
  for (let i = 0; i < times; i++) bytes[Math.floor(random() * within)] = Math.floor(random() * 256);
  return bytes;
}

/** Calls `act` with one offset: half of the time in the header, otherwise anywhere. */
function damageAt(bytes: Uint8Array, random: Random, act: (at: number) => unknown): Uint8Array {
  act(Math.floor(random() * (random() < 0.5 ? Math.min(512, bytes.length) : bytes.length)));
  return bytes;
}

/**
 * `count` mutants of `files`, the same for the same seed. Every second mutant is a file cut at or next to a structural
 * boundary, until all of these have been made. The others are cut or changed at random places.
 */
export async function* mutantsOf(
  files: Record<string, Buffer>,
  count: number,
  seed: number,
): AsyncGenerator<Mutant> {
  const random = seeded(seed);
  const originals = await Promise.all(
    Object.entries(files)
      .filter(([, bytes]) => bytes.length >= minFileBytes)
      .map(async ([name, bytes]) => ({ name, bytes, audio: await audioOf(bytes) })),
  );
  const cuts = originals.flatMap(({ name, bytes, audio }) =>
    [...new Set(boundariesOf(bytes).flatMap((at) => [at - 1, at, at + 1]))]
      .filter((at) => at >= 0 && at < bytes.length)
      .map((at) => ({ name, bytes, audio, at })),
  );
  for (let made = 0; made < count; made++) {
    const cut = made % 2 === 0 ? cuts.splice(Math.floor(random() * cuts.length), 1)[0] : undefined;
    const { name, bytes, audio } = cut ?? originals[Math.floor(random() * originals.length)]!;
    const { sampleFrames, end } = audio ?? { sampleFrames: 0, end: 0 };
    const at = cut?.at ?? (random() < 0.2 ? Math.floor(random() * bytes.length) : undefined);
    if (at !== undefined) {
      yield { name: `${name} cut at ${at}`, bytes: bytes.subarray(0, at), sampleFrames, cut: at < end };
    } else {
      const kind = Math.floor(random() * mutations.length);
      yield {
        name: `${name} mutated (${kind}, ${made})`,
        bytes: mutations[kind]!(new Uint8Array(bytes), random),
        sampleFrames,
        cut: false,
      };
    }
  }
}
