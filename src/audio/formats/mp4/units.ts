import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { DecodedChunk, Track } from '../format.ts';
import { findMp4Decoder, type Mp4Decoder } from './mp4-decoder.ts';
import { writeMp4 } from './remux.ts';
import type { UnitTable } from './sample-table.ts';

/** Access units of AAC or ALAC, in the order of playing. */
export interface AccessUnits extends UnitTable {
  /** The sample entry of `stsd`, whole, that a decoder must be given before a unit. */
  entry: Uint8Array;
  sampleRate: number;
  framesPerUnit: number;
  /** Sample frames at the start that the encoder put there to warm up; nobody hears them. */
  priming: number;
}

/** Sample frames decoded at once: about 1,200 units of AAC, or 28 s at 44.1 kHz. */
const samplesPerBlock = 1200 * 1024;

export function unitTrack(units: AccessUnits): Track {
  const decode: Track['decode'] = async (reader) => {
    const decodeMp4 = await findMp4Decoder();
    return decodeMp4 && decodeUnits(reader, units, decodeMp4);
  };
  return { sampleRate: units.sampleRate, decode };
}

/**
 * Decodes AAC-LC and ALAC in blocks of access units, each written as a small file for the decoder. A
 * unit of AAC overlaps with the one before it, so each block begins with the last unit of the block before.
 */
export async function* decodeUnits(
  reader: SourceReader,
  units: AccessUnits,
  decodeMp4: Mp4Decoder,
): AsyncGenerator<DecodedChunk> {
  const count = units.sizes.length;
  const unitsPerBlock = Math.ceil(samplesPerBlock / units.framesPerUnit);
  for (let first = 0; first < count; first += unitsPerBlock) {
    const from = Math.max(0, first - 1);
    const to = Math.min(count, first + unitsPerBlock);
    const file = writeMp4(
      units.entry,
      units.sampleRate,
      units.framesPerUnit,
      await readUnits(reader, units, from, to),
    );
    const [left, right] = await decodeMp4(file, units.sampleRate).catch((error) => {
      throw new Finding('corrupt_audio', error.message);
    });
    const whole = (to - from) * units.framesPerUnit;
    const least = to === count ? whole - units.framesPerUnit + 1 : whole;
    if (left.length < least || left.length > whole) throw new Finding('corrupt_audio', left.length, whole);
    const skip = first === 0 ? units.priming : units.framesPerUnit;
    yield [left.subarray(skip), right.subarray(skip)];
  }
}

/** Units that lie one behind the other are read at once. */
async function readUnits(
  reader: SourceReader,
  { offsets, sizes }: UnitTable,
  from: number,
  to: number,
): Promise<Uint8Array[]> {
  const units: Uint8Array[] = [];
  for (let first = from; first < to; ) {
    const start = offsets[first]!;
    let end = start;
    let next = first;
    while (next < to && offsets[next] === end) end += sizes[next++]!;
    const bytes = await reader.read(start, end - start);
    for (; first < next; first++)
      units.push(bytes.subarray(offsets[first]! - start, offsets[first]! - start + sizes[first]!));
  }
  return units;
}
