import { Finding } from '../../finding.ts';
import { crc16Table, type FrameHeader, maxFrameBytes, maxHeaderBytes, readFrameHeader } from './frame.ts';

/** A batch that holds this many is full. */
const maxSampleFrames = 512 * 1024;

/** FLAC frames to decode at once. */
interface Batch {
  frames: Uint8Array[];
  sampleFrames: number;
}

/** Splits a stream of bytes into FLAC frames. It reads each byte once. */
export class FrameSplitter {
  readonly #channels: number;
  /** The rest of the last chunk: a FLAC frame whose end is still to come. */
  #rest: Uint8Array = new Uint8Array(0);
  /** How many bytes of that FLAC frame were read, their checksum, and its header. */
  #read = 0;
  #crc = 0;
  #header: FrameHeader | undefined;
  /** The number that the next FLAC frame must have. */
  #number = 0;

  constructor(channels: number) {
    this.#channels = channels;
  }

  /** @throws Finding `corrupt_audio` if the next FLAC frame is missing or does not end */
  push(chunk: Uint8Array, last: boolean): Batch[] {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const end = last ? bytes.length : bytes.length - maxHeaderBytes;
    const batches: Batch[] = [];
    let start = 0;
    let at = this.#read;
    let crc = this.#crc;
    while (at < end) {
      this.#header ??= this.#expectHeader(bytes, start);
      crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ bytes[at++]!]!;
      // The checksum is 0 at the end of a FLAC frame, and by chance at one in 65,536 other places.
      if (crc === 0 && (at === bytes.length ? last : this.#headerAt(bytes, at, this.#nextNumber()))) {
        // Silence compresses so well that a few bytes may hold more audio than fits into memory.
        if ((batches.at(-1)?.sampleFrames ?? maxSampleFrames) >= maxSampleFrames) {
          batches.push({ frames: [], sampleFrames: 0 });
        }
        const batch = batches.at(-1)!;
        batch.frames.push(bytes.subarray(start, at));
        batch.sampleFrames += this.#header.sampleFrames;
        this.#number = this.#nextNumber();
        this.#header = undefined;
        start = at;
      } else if (at - start > maxFrameBytes) {
        throw new Finding('corrupt_audio', `frame ${this.#number} does not end`);
      }
    }
    if (last && start < bytes.length) {
      throw new Finding('corrupt_audio', `frame ${this.#number} is not whole`);
    }
    this.#rest = bytes.subarray(start);
    this.#read = at - start;
    this.#crc = crc;
    return batches;
  }

  #nextNumber(): number {
    return this.#number + (this.#header?.variable ? this.#header.sampleFrames : 1);
  }

  #expectHeader(bytes: Uint8Array, at: number): FrameHeader {
    const header = this.#headerAt(bytes, at, this.#number);
    if (!header) throw new Finding('corrupt_audio', `frame ${this.#number} is missing`);
    return header;
  }

  #headerAt(bytes: Uint8Array, at: number, number: number): FrameHeader | undefined {
    const header = readFrameHeader(bytes, at);
    return header?.number === number && header.channels === this.#channels ? header : undefined;
  }
}
