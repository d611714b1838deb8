import { decodeFlac } from './formats/flac/flac-decoder.ts';
import { findMp4Decoder } from './formats/mp4/mp4-decoder.ts';
import { decodeUnits } from './formats/mp4/units.ts';
import { decodePcm } from './formats/wav/pcm.ts';
import type { Reader } from './source.ts';
import type { Track } from './track.ts';

/** Samples of both channels, -1 to 1; the arrays are used again for the next block. */
export type Block = [left: Float32Array, right: Float32Array];

let mp4Decoder: ReturnType<typeof findMp4Decoder> | undefined;

/**
 * Decodes every sample of a track of two channels, about half a minute at a time.
 *
 * @returns undefined where nothing on this machine decodes the codec
 * @throws Finding (the iteration) where part of the audio is missing or does not decode
 */
export async function decode(reader: Reader, track: Track): Promise<AsyncGenerator<Block> | undefined> {
  switch (track.kind) {
    case 'pcm':
      return decodePcm(reader, track);
    case 'flac':
      return decodeFlac(reader, track);
    case 'units': {
      mp4Decoder ??= findMp4Decoder();
      const decodeMp4 = await mp4Decoder;
      return decodeMp4 && decodeUnits(reader, track, decodeMp4);
    }
  }
}
