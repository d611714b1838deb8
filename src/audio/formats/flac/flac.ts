import type { Reader } from '../../source.ts';
import { Finding, type FlacTrack, type Structure } from '../../track.ts';

const maxBlocks = 1000;
const maxTagBytes = 256 * 1024;
/** A frame of two channels of 65,535 samples of 32 bits, which no predictor helped, and its header. */
export const maxFrameSize = 640 * 1024;
/** How many frame heads are tried: one in 8 MB is by chance, so the first or second is that of the last frame. */
const maxTries = 64;

/** Hz, by the rate code of a frame. */
const rates = [undefined, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000];

const streamInfo = 0;
const vorbisComment = 4;

/** What the head of a frame says (RFC 9639 §9.1). */
export interface FrameHead {
  channels: number;
  /** Hz; nothing where it is that of STREAMINFO. */
  sampleRate: number | undefined;
  /** Sample frames in it. */
  blockSize: number;
  /** Of its first sample where blocks vary in size, otherwise of the frame. */
  number: number;
  variable: boolean;
}

/**
 * Reads a FLAC file (RFC 9639): the metadata, and the last frame, which proves that the file is whole.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readFlac(reader: Reader, start: number): Promise<Structure> {
  let position = start + 4;
  let info: DataView | undefined;
  let tagBytes = 0;
  for (let blocks = 1, last = false; !last; blocks++) {
    if (blocks > maxBlocks) throw new Finding('too_complex', blocks, maxBlocks);
    const head = (await reader.view(position, 4)).getUint32(0);
    const size = head & 0xff_ffff;
    const type = (head >>> 24) & 0x7f;
    last = head >>> 31 === 1;
    if (type === 127) throw new Finding('bad_header', 'metadata block of type 127');
    if (blocks === 1 && (type !== streamInfo || size !== 34))
      throw new Finding('bad_header', 'no STREAMINFO');
    if (blocks === 1) info = await reader.view(position + 4, size);
    if (type === vorbisComment) tagBytes += size;
    if (tagBytes > maxTagBytes) throw new Finding('too_complex', tagBytes, maxTagBytes);
    position += 4 + size;
    if (position > reader.size) throw new Finding('truncated', reader.size, position);
  }

  const packed = info!.getBigUint64(10);
  const sampleRate = Number(packed >> 44n);
  const track: FlacTrack = {
    kind: 'flac',
    offset: position,
    end: await endOfAudio(reader),
    head: Uint8Array.from([...Buffer.from('fLaC'), 0x80, 0, 0, 34, ...bytesOf(info!)]),
    channels: Number((packed >> 41n) & 7n) + 1,
    sampleRate,
    frames: Number(packed & 0xf_ffff_ffffn),
  };
  if (track.offset >= track.end) {
    throw track.frames > 0
      ? new Finding('truncated', reader.size, track.offset)
      : new Finding('empty_file', 0);
  }
  const frames = await countFrames(reader, track);
  return {
    audio: {
      container: 'flac',
      codec: 'FLAC',
      channels: track.channels,
      sampleRate,
      bitsPerSample: Number((packed >> 36n) & 31n) + 1,
      durationSeconds: frames / sampleRate,
      size: reader.size,
    },
    evidence: [],
    tags: [],
    track,
  };
}

/** Some writers hang an ID3v1 tag of 128 bytes behind the audio. */
async function endOfAudio(reader: Reader): Promise<number> {
  const tag = reader.size >= 128 ? await reader.text(reader.size - 128, 3) : '';
  return tag === 'TAG' ? reader.size - 128 : reader.size;
}

/**
 * Sample frames up to the end of the last frame: the one whose checksum comes out right at the file's end.
 *
 * @throws Finding `truncated` where no frame ends there, or where it is not the last that was promised
 */
async function countFrames(reader: Reader, track: FlacTrack): Promise<number> {
  const first = readFrameHead(await reader.read(track.offset, Math.min(16, track.end - track.offset)), 0);
  if (!first) throw new Finding('corrupt_audio', 'no frame behind the metadata');
  if (first.channels !== track.channels)
    throw new Finding('channel_count_mismatch', first.channels, track.channels);
  if (first.sampleRate !== undefined && first.sampleRate !== track.sampleRate) {
    throw new Finding('bad_header', `frames of ${first.sampleRate} Hz`, track.sampleRate);
  }

  for (const reach of [16 * 1024, maxFrameSize]) {
    const start = Math.max(track.offset, track.end - reach);
    const tail = await reader.read(start, track.end - start);
    for (let at = tail.length - 4, tries = 0; at >= 0; at--) {
      const head = readFrameHead(tail, at);
      if (!head) continue;
      if (++tries > maxTries) break;
      if (crc16(tail, at, tail.length) !== 0) continue;
      const before = head.variable ? head.number : head.number * first.blockSize;
      const frames = before + head.blockSize;
      if (track.frames > 0 && frames < track.frames) throw new Finding('truncated', frames, track.frames);
      if (track.frames > 0 && frames > track.frames) throw new Finding('bad_header', frames, track.frames);
      return frames;
    }
    if (start === track.offset) break;
  }
  throw new Finding('truncated', 'the last frame is not whole');
}

/** The frame head at `at`, or nothing where there is none with a right checksum. */
export function readFrameHead(bytes: Uint8Array, at: number): FrameHead | undefined {
  if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xfe) !== 0xf8) return undefined;
  const sizeCode = bytes[at + 2]! >> 4;
  const rateCode = bytes[at + 2]! & 15;
  const assignment = bytes[at + 3]! >> 4;
  if (sizeCode === 0 || rateCode === 15 || assignment > 10 || (bytes[at + 3]! & 1) === 1) return undefined;

  // The number is coded as UTF-8 codes a character, in up to seven bytes.
  const lead = bytes[at + 4]!;
  const ones = Math.clz32(~(lead << 24));
  if (ones === 1 || ones > 7) return undefined;
  let position = at + 5;
  let number = ones === 0 ? lead : lead & (0x7f >> ones);
  for (; position < at + 4 + Math.max(1, ones); position++) {
    if ((bytes[position]! & 0xc0) !== 0x80) return undefined;
    number = number * 64 + (bytes[position]! & 0x3f);
  }

  let blockSize = sizeCode === 1 ? 192 : sizeCode < 6 ? 144 << sizeCode : 1 << sizeCode;
  if (sizeCode === 6) blockSize = bytes[position++]! + 1;
  if (sizeCode === 7) blockSize = ((bytes[position++]! << 8) | bytes[position++]!) + 1;
  let sampleRate = rates[rateCode];
  if (rateCode === 12) sampleRate = bytes[position++]! * 1000;
  if (rateCode > 12)
    sampleRate = ((bytes[position++]! << 8) | bytes[position++]!) * (rateCode === 14 ? 10 : 1);
  if (position >= bytes.length || crc8(bytes, at, position + 1) !== 0) return undefined;
  return {
    channels: assignment < 8 ? assignment + 1 : 2,
    sampleRate,
    blockSize,
    number,
    variable: (bytes[at + 1]! & 1) === 1,
  };
}

/** A checksum table for a polynomial of 8 or 16 bits, most significant bit first. */
function tableOf(bits: 8 | 16, polynomial: number): Uint16Array {
  return Uint16Array.from({ length: 256 }, (_, byte) => {
    let value = byte << (bits - 8);
    for (let i = 0; i < 8; i++) value = (value << 1) ^ ((value >> (bits - 1)) & 1 ? polynomial : 0);
    return value & ((1 << bits) - 1);
  });
}

const crc8Table = tableOf(8, 0x07);
export const crc16Table = tableOf(16, 0x8005);

function crc8(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i++) crc = crc8Table[crc ^ bytes[i]!]!;
  return crc;
}

/** 0 for a frame with its checksum: the remainder of a message followed by its own. */
function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ bytes[i]!]!;
  return crc;
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
