import type { Reader } from '../../source.ts';
import { Finding, type UnitTrack } from '../../track.ts';
import type { Mp4Decoder } from './mp4-decoder.ts';
import { writeMp4 } from './remux.ts';

/** Sample frames decoded at once: about 1,200 units of AAC, or 28 s at 44.1 kHz. */
const samplesPerBlock = 1200 * 1024;

/**
 * Decodes AAC-LC and ALAC in blocks of access units, each written as a small file for the decoder. A
 * unit of AAC overlaps with the one before it, so each block begins with the last unit of the block before.
 */
export async function* decodeUnits(
  reader: Reader,
  track: UnitTrack,
  decodeMp4: Mp4Decoder,
): AsyncGenerator<[Float32Array, Float32Array]> {
  const count = track.sizes.length;
  const unitsPerBlock = Math.ceil(samplesPerBlock / track.framesPerUnit);
  for (let first = 0; first < count; first += unitsPerBlock) {
    const from = Math.max(0, first - 1);
    const to = Math.min(count, first + unitsPerBlock);
    const file = writeMp4(
      track.entry,
      track.sampleRate,
      track.framesPerUnit,
      await readUnits(reader, track, from, to),
    );
    const [left, right] = await decodeMp4(file, track.sampleRate).catch((error) => {
      throw new Finding('corrupt_audio', error.message);
    });
    const whole = (to - from) * track.framesPerUnit;
    const least = to === count ? whole - track.framesPerUnit + 1 : whole;
    if (left.length < least || left.length > whole) throw new Finding('corrupt_audio', left.length, whole);
    const skip = first === 0 ? track.priming : track.framesPerUnit;
    yield [left.subarray(skip), right.subarray(skip)];
  }
}

/** Units that lie one behind the other are read at once. */
async function readUnits(
  reader: Reader,
  { offsets, sizes }: UnitTrack,
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
