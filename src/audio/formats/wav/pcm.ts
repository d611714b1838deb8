import type { SourceReader } from '../../source-reader.ts';
import type { DecodedChunk, Track } from '../format.ts';

/** Samples in a WAV file: interleaved, little-endian, each in whole bytes. */
export interface PcmSamples {
  encoding: 'integer' | 'float' | 'µ-law' | 'A-law';
  bytesPerSample: number;
  channels: number;
  sampleRate: number;
  /** Of the first sample, in bytes. */
  offset: number;
  /** A sample frame is one sample for each channel. */
  sampleFrames: number;
}

const chunkSampleFrames = 64 * 1024;

/** Reads the sample at an offset. */
type ReadSample = (view: DataView, at: number) => number;

export function pcmTrack(samples: PcmSamples): Track {
  return { sampleRate: samples.sampleRate, decode: async (reader) => decodePcm(reader, samples) };
}

async function* decodePcm(reader: SourceReader, samples: PcmSamples): AsyncGenerator<DecodedChunk> {
  const readSample = sampleReader(samples);
  const { offset, sampleFrames, channels, bytesPerSample } = samples;
  const sampleFrameBytes = bytesPerSample * channels;
  const left = new Float32Array(chunkSampleFrames);
  const right = new Float32Array(chunkSampleFrames);
  for (let first = 0; first < sampleFrames; first += chunkSampleFrames) {
    const count = Math.min(chunkSampleFrames, sampleFrames - first);
    const view = await reader.view(offset + first * sampleFrameBytes, count * sampleFrameBytes);
    for (let i = 0, at = 0; i < count; i++, at += sampleFrameBytes) {
      left[i] = readSample(view, at);
      right[i] = readSample(view, at + bytesPerSample);
    }
    yield [left.subarray(0, count), right.subarray(0, count)];
  }
}

function sampleReader({ encoding, bytesPerSample }: PcmSamples): ReadSample {
  switch (encoding) {
    case 'µ-law':
      return (view, at) => muLaw[view.getUint8(at)]!;
    case 'A-law':
      return (view, at) => aLaw[view.getUint8(at)]!;
    case 'float':
      return bytesPerSample === 4
        ? (view, at) => view.getFloat32(at, true)
        : (view, at) => view.getFloat64(at, true);
    case 'integer':
      return integers[bytesPerSample]!;
  }
}

/** By bytes per sample. 8-bit samples are unsigned, all others signed. */
const integers: Record<number, ReadSample> = {
  1: (view, at) => (view.getUint8(at) - 0x80) / 0x80,
  2: (view, at) => view.getInt16(at, true) / 0x8000,
  3: (view, at) => (view.getUint16(at, true) + view.getInt8(at + 2) * 0x1_0000) / 0x80_0000,
  4: (view, at) => view.getInt32(at, true) / 0x8000_0000,
};

/** ITU-T G.711 §3.2: sign, three bits of exponent, four bits of mantissa, all inverted. */
const muLaw = Float32Array.from({ length: 256 }, (_, byte) => {
  const code = ~byte & 0xff;
  const magnitude = ((((code & 0x0f) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84;
  return (code & 0x80 ? -magnitude : magnitude) / 0x8000;
});

/** ITU-T G.711 §3.1: the same fields, with every second bit inverted. */
const aLaw = Float32Array.from({ length: 256 }, (_, byte) => {
  const code = byte ^ 0x55;
  const exponent = (code >> 4) & 7;
  const mantissa = ((code & 0x0f) << 4) + 8;
  const magnitude = exponent === 0 ? mantissa : (mantissa + 0x100) << (exponent - 1);
  return (code & 0x80 ? magnitude : -magnitude) / 0x8000;
});
