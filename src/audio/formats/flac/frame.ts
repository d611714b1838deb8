/** Hz, by the rate code of a FLAC frame. */
const rates = [undefined, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000];

/** More than any FLAC frame has: 2 channels of 65,535 samples of 32 bits, uncompressed, take 512 KiB. */
export const maxFrameBytes = 640 * 1024;
/** The longest header of a FLAC frame. */
export const maxHeaderBytes = 16;

/** The header of a FLAC frame (RFC 9639 §9.1). */
export interface FrameHeader {
  channels: number;
  /** Hz; undefined if it is the rate of STREAMINFO. */
  sampleRate: number | undefined;
  /** Sample frames in this FLAC frame. */
  sampleFrames: number;
  /** Number of its first sample frame if FLAC frames vary in size; otherwise number of the FLAC frame. */
  number: number;
  variable: boolean;
}

/** Reads the frame header at `at`; undefined if there is none, or if its checksum is wrong. */
export function readFrameHeader(bytes: Uint8Array, at: number): FrameHeader | undefined {
  if (bytes[at] !== 0xff || (bytes[at + 1]! & 0xfe) !== 0xf8) return undefined;
  const sizeCode = bytes[at + 2]! >> 4;
  const rateCode = bytes[at + 2]! & 15;
  const assignment = bytes[at + 3]! >> 4;
  if (sizeCode === 0 || rateCode === 15 || assignment > 10 || (bytes[at + 3]! & 1) === 1) return undefined;

  // The number is coded like a character in UTF-8, in up to seven bytes.
  const lead = bytes[at + 4]!;
  const leadingOnes = Math.clz32(~(lead << 24));
  if (leadingOnes === 1 || leadingOnes > 7) return undefined;
  let number = leadingOnes === 0 ? lead : lead & (0x7f >> leadingOnes);
  let position = at + 5;
  for (let more = leadingOnes - 1; more > 0; more--, position++) {
    if ((bytes[position]! & 0xc0) !== 0x80) return undefined;
    number = number * 64 + (bytes[position]! & 0x3f);
  }

  let sampleFrames = 1 << sizeCode;
  if (sizeCode === 1) sampleFrames = 192;
  if (sizeCode >= 2 && sizeCode <= 5) sampleFrames = 144 << sizeCode;
  // Sizes and rates without a code of their own are behind the number.
  if (sizeCode === 6) sampleFrames = bytes[position++]! + 1;
  if (sizeCode === 7) sampleFrames = ((bytes[position++]! << 8) | bytes[position++]!) + 1;
  let sampleRate = rates[rateCode];
  if (rateCode === 12) sampleRate = bytes[position++]! * 1000;
  if (rateCode > 12)
    sampleRate = ((bytes[position++]! << 8) | bytes[position++]!) * (rateCode === 14 ? 10 : 1);
  if (position >= bytes.length || crc8(bytes, at, position + 1) !== 0) return undefined;
  return {
    channels: assignment < 8 ? assignment + 1 : 2,
    sampleRate,
    sampleFrames,
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

/** The checksum of a FLAC frame that includes its own checksum is 0. */
export function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i++) crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ bytes[i]!]!;
  return crc;
}
