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
 * Every FLAC frame must be there, in order, with both checksums right. The decoder itself silently skips what is
 * broken.
 */
async function* decodeFlac(reader: SourceReader, stream: FlacStream): AsyncGenerator<DecodedChunk> {
  const decoder = new FLACDecoder();
  await decoder.ready;
  try {
    await decoder.decodeFrames([stream.header]);
    const splitter = new FrameSplitter(stream.channels);
    for (let offset = stream.offset; offset < stream.end; offset += readBytes) {
      const length = Math.min(readBytes, stream.end - offset);
      const last = offset + length === stream.end;
      for (const { frames, sampleFrames } of splitter.push(await reader.read(offset, length), last)) {
        const { channelData, samplesDecoded, errors } = await decoder.decodeFrames(frames).catch(crashed);
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

/** WebAssembly stops the decoder when it leaves its memory, as it does on some FLAC frames of a few samples. */
function crashed(error: unknown): never {
  throw error instanceof WebAssembly.RuntimeError ? new Finding('corrupt_audio', error.message) : error;
}
