import { FLACDecoder } from '@wasm-audio-decoders/flac';
import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { DecodedChunk, Track } from '../format.ts';
import { FrameSplitter } from './frame-splitter.ts';

/** FLAC frames, without gaps, from `offset` to `end`. */
export interface FlacStream {
  offset: number;
  end: number;
  /** `fLaC` and STREAMINFO. The decoder needs them before the first FLAC frame. */
  header: Uint8Array;
  channels: number;
  sampleRate: number;
}

const readBytes = 512 * 1024;

export function flacTrack(stream: FlacStream): Track {
  return { sampleRate: stream.sampleRate, decode: async (reader) => decodeFlac(reader, stream) };
}

/**
 * Requires every FLAC frame, in order, with both checksums right. The decoder alone would skip broken frames and report
 * no error.
 */
async function* decodeFlac(reader: SourceReader, stream: FlacStream): AsyncGenerator<DecodedChunk> {
  const decoder = new FLACDecoder();
  await decoder.ready;
  try {
    await decoder.decodeFrames([stream.header]);
    const splitter = new FrameSplitter(stream.channels);
    for (let offset = stream.offset; offset < stream.end; offset += readBytes) {
      const length = Math.min(readBytes, stream.end - offset);
      const isLast = offset + length === stream.end;
      const bytes = await reader.read(offset, length);
      for (const { frames, sampleFrames } of splitter.push(bytes, isLast)) {
        const { channelData, samplesDecoded, errors } = await decoder
          .decodeFrames(frames)
          .catch(rethrowCrash);
        if (errors.length > 0 || samplesDecoded !== sampleFrames) {
          throw new Finding('corrupt_audio', errors[0]?.message ?? `${samplesDecoded} samples`, sampleFrames);
        }
        yield [channelData[0]!, channelData[1]!];
      }
    }
  } finally {
    decoder.free();
  }
}

/** Some FLAC frames of a few samples make the decoder leave its memory. WebAssembly then stops it with an error. */
function rethrowCrash(error: unknown): never {
  throw error instanceof WebAssembly.RuntimeError ? new Finding('corrupt_audio', error.message) : error;
}
