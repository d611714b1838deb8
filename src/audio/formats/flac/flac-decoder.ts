import { FLACDecoder } from '@wasm-audio-decoders/flac';
import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { DecodedChunk, Track } from '../format.ts';
import { crc16Table, type FrameHead, maxFrameSize, readFrameHead } from './frame.ts';

/** FLAC frames, one behind the other, from `offset` to `end`. */
export interface FlacStream {
  offset: number;
  end: number;
  /** `fLaC` and STREAMINFO: what a decoder must be given before a frame. */
  head: Uint8Array;
  channels: number;
  sampleRate: number;
  /** Sample frames. 0 where the encoder did not know. */
  frames: number;
}

const readSize = 512 * 1024;
/** Sample frames decoded at once; one frame more may come on top. */
const maxSamples = 512 * 1024;
/** The longest head of a frame. */
const headSize = 16;

export function flacTrack(stream: FlacStream): Track {
  return { sampleRate: stream.sampleRate, decode: async (reader) => decodeFlac(reader, stream) };
}

/**
 * Decodes FLAC. Every frame must be there, in order, with both of its checksums right: the decoder itself
 * would leave out what is broken and say nothing of it.
 */
async function* decodeFlac(reader: SourceReader, stream: FlacStream): AsyncGenerator<DecodedChunk> {
  const decoder = new FLACDecoder();
  await decoder.ready;
  try {
    await decoder.decodeFrames([stream.head]);
    const cutter = new FrameCutter(stream);
    for (let offset = stream.offset; offset < stream.end; offset += readSize) {
      const length = Math.min(readSize, stream.end - offset);
      const last = offset + length === stream.end;
      for (const { frames, samples } of cutter.push(await reader.read(offset, length), last)) {
        const { channelData, samplesDecoded, errors } = await decoder.decodeFrames(frames).catch(crashed);
        if (errors.length > 0 || samplesDecoded !== samples) {
          throw new Finding('corrupt_audio', errors[0]?.message ?? `${samplesDecoded} samples`, samples);
        }
        yield [channelData[0]!, channelData[1]!];
      }
    }
  } finally {
    decoder.free();
  }
}

/** WebAssembly stops the decoder where it leaves its memory, as it does on some frames of a few samples. */
function crashed(error: unknown): never {
  throw error instanceof WebAssembly.RuntimeError ? new Finding('corrupt_audio', error.message) : error;
}

/** Frames to decode at once, and how many sample frames they hold. */
interface Batch {
  frames: Uint8Array[];
  samples: number;
}

/** Cuts a stream of bytes into frames, looking at each byte once. */
class FrameCutter {
  #channels: number;
  /** What is left of the last chunk: a frame whose end was not in it. */
  #bytes: Uint8Array = new Uint8Array(0);
  /** How much of that frame was looked at, the checksum up to there, and its head. */
  #seen = 0;
  #crc = 0;
  #head: FrameHead | undefined;
  /** The number of the frame that must come next. */
  #number = 0;

  constructor({ channels }: FlacStream) {
    this.#channels = channels;
  }

  /** @throws Finding `corrupt_audio` where the next frame is not there or does not end */
  push(chunk: Uint8Array, last: boolean): Batch[] {
    const bytes = Buffer.concat([this.#bytes, chunk]);
    const end = last ? bytes.length : bytes.length - headSize;
    const batches: Batch[] = [];
    let start = 0;
    let at = this.#seen;
    let crc = this.#crc;
    while (at < end) {
      this.#head ??= this.#expectHead(bytes, start);
      crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ bytes[at++]!]!;
      // A frame with its checksum leaves the remainder 0; so does one in 65,536 other places.
      if (crc === 0 && (at === bytes.length ? last : this.#headAt(bytes, at, this.#following()))) {
        // Silence shrinks to next to nothing, so that a few bytes may hold more audio than memory.
        if ((batches.at(-1)?.samples ?? maxSamples) >= maxSamples) batches.push({ frames: [], samples: 0 });
        const batch = batches.at(-1)!;
        batch.frames.push(bytes.subarray(start, at));
        batch.samples += this.#head.blockSize;
        this.#number = this.#following();
        this.#head = undefined;
        start = at;
      } else if (at - start > maxFrameSize) {
        throw new Finding('corrupt_audio', `frame ${this.#number} does not end`);
      }
    }
    if (last && start < bytes.length) {
      throw new Finding('corrupt_audio', `frame ${this.#number} is not whole`);
    }
    this.#bytes = bytes.subarray(start);
    this.#seen = at - start;
    this.#crc = crc;
    return batches;
  }

  #following(): number {
    return this.#number + (this.#head?.variable ? this.#head.blockSize : 1);
  }

  #expectHead(bytes: Uint8Array, at: number): FrameHead {
    const head = this.#headAt(bytes, at, this.#number);
    if (!head) throw new Finding('corrupt_audio', `frame ${this.#number} is missing`);
    return head;
  }

  #headAt(bytes: Uint8Array, at: number, number: number): FrameHead | undefined {
    const head = readFrameHead(bytes, at);
    return head?.number === number && head.channels === this.#channels ? head : undefined;
  }
}
