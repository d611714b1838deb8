import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { DecodedChunk, Track } from '../format.ts';
import { findMp4Decoder, type Mp4Decoder } from './mp4-decoder.ts';
import { type UnitFormat, writeMp4 } from './remux.ts';
import type { UnitTable } from './sample-table.ts';

/** Access units of AAC or ALAC, in playing order. */
export interface AccessUnits extends UnitTable, UnitFormat {
  /** The encoder's delay: silence at the start, which players skip. */
  primingSampleFrames: number;
}

/** How many sample frames to decode at once: 1,200 units of AAC, or 28 s at 44.1 kHz. */
const chunkSampleFrames = 1200 * 1024;

export function unitTrack(units: AccessUnits): Track {
  const decode: Track['decode'] = async (reader) => {
    const decodeMp4 = await findMp4Decoder();
    return decodeMp4 && decodeUnits(reader, units, decodeMp4);
  };
  return { sampleRate: units.sampleRate, decode };
}

/**
 * Decodes AAC-LC and ALAC in chunks of access units, each written as a small MP4 file for the decoder. An AAC unit
 * overlaps with the previous one, so each chunk starts with the last unit of the previous chunk.
 */
export async function* decodeUnits(
  reader: SourceReader,
  units: AccessUnits,
  decodeMp4: Mp4Decoder,
): AsyncGenerator<DecodedChunk> {
  const { sampleRate, unitSampleFrames } = units;
  const count = units.sizes.length;
  const chunkUnits = Math.ceil(chunkSampleFrames / unitSampleFrames);
  for (let first = 0; first < count; first += chunkUnits) {
    const from = Math.max(0, first - 1);
    const to = Math.min(count, first + chunkUnits);
    const file = writeMp4(units, await readUnits(reader, units, from, to));
    const [left, right] = await decodeMp4(file, sampleRate).catch((error) => {
      throw new Finding('corrupt_audio', error.message);
    });
    const most = (to - from) * unitSampleFrames;
    // Only the last unit may be shorter.
    const least = to === count ? most - unitSampleFrames + 1 : most;
    if (left.length < least || left.length > most) throw new Finding('corrupt_audio', left.length, most);
    const skip = first === 0 ? units.primingSampleFrames : unitSampleFrames;
    yield [left.subarray(skip), right.subarray(skip)];
  }
}

/** Reads the units from `from` to before `to`. Adjacent units are read at once. */
async function readUnits(
  reader: SourceReader,
  { offsets, sizes }: UnitTable,
  from: number,
  to: number,
): Promise<Uint8Array[]> {
  const units: Uint8Array[] = [];
  let unit = from;
  while (unit < to) {
    const start = offsets[unit]!;
    let end = start;
    let next = unit;
    while (next < to && offsets[next] === end) end += sizes[next++]!;
    const bytes = await reader.read(start, end - start);
    for (; unit < next; unit++) {
      const unitStart = offsets[unit]! - start;
      units.push(bytes.subarray(unitStart, unitStart + sizes[unit]!));
    }
  }
  return units;
}
