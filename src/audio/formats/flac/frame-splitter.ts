import { Finding } from '../../finding.ts';
import { crc16Table, type FrameHeader, maxFrameBytes, maxHeaderBytes, readFrameHeader } from './frame.ts';

/** A batch with this many is full. Silence compresses so well that a few bytes may hold more than fits into memory. */
const fullSampleFrames = 512 * 1024;

/** FLAC frames to decode at once. */
interface Batch {
  frames: Uint8Array[];
  sampleFrames: number;
}

/** Splits a stream of bytes into FLAC frames. It reads each byte once. */
export class FrameSplitter {
  readonly #channels: number;
  /** The rest of the last chunk: the start of a FLAC frame whose end is still to come. */
  #rest: Uint8Array = new Uint8Array(0);
  /** How many bytes of it were read, and their checksum. */
  #bytesRead = 0;
  #crc = 0;
  /** The header of that FLAC frame, once it was read. */
  #header: FrameHeader | undefined;
  /** The number that this header must have. */
  #number = 0;

  constructor(channels: number) {
    this.#channels = channels;
  }

  /**
   * The FLAC frames that end in this chunk.
   *
   * @throws Finding `corrupt_audio` if the next FLAC frame is missing or does not end
   */
  push(chunk: Uint8Array, isLast: boolean): Batch[] {
    const bytes = Buffer.concat([this.#rest, chunk]);
    // Unless the stream ends here, the next header must fit behind the byte that is read.
    const end = isLast ? bytes.length : bytes.length - maxHeaderBytes;
    const batches: Batch[] = [];
    let start = 0;
    let at = this.#bytesRead;
    let crc = this.#crc;
    while (at < end) {
      this.#header ??= this.#expectHeader(bytes, start);
      crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ bytes[at++]!]!;
      // The checksum is 0 at the end of a FLAC frame. It is 0 by chance at one in 65,536 other places as well.
      if (crc === 0 && this.#isFrameEnd(bytes, at)) {
        let batch = batches.at(-1);
        if (!batch || batch.sampleFrames >= fullSampleFrames) {
          batch = { frames: [], sampleFrames: 0 };
          batches.push(batch);
        }
        batch.frames.push(bytes.subarray(start, at));
        batch.sampleFrames += this.#header.sampleFrames;
        this.#number = this.#nextNumber();
        this.#header = undefined;
        start = at;
      } else if (at - start > maxFrameBytes) {
        throw new Finding('corrupt_audio', `frame ${this.#number} does not end`);
      }
    }
    if (isLast && start < bytes.length) {
      throw new Finding('corrupt_audio', `frame ${this.#number} is not whole`);
    }
    this.#rest = bytes.subarray(start);
    this.#bytesRead = at - start;
    this.#crc = crc;
    return batches;
  }

  /** Whether the next FLAC frame starts at `at`, or the stream ends there. */
  #isFrameEnd(bytes: Uint8Array, at: number): boolean {
    return at === bytes.length || this.#headerAt(bytes, at, this.#nextNumber()) !== undefined;
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
