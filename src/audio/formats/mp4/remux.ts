/** What a decoder must know of access units before it gets them. */
export interface UnitFormat {
  /** The sample entry of `stsd`, whole. */
  entry: Uint8Array;
  /** Hz, of the decoded samples. */
  sampleRate: number;
  unitSampleFrames: number;
}

/** Writes some access units as a small MP4 file (ISO 14496-12), for a decoder that takes only whole files. */
export function writeMp4({ entry, sampleRate, unitSampleFrames }: UnitFormat, units: Uint8Array[]): Buffer {
  const ftyp = box('ftyp', text('M4A '), u32(0));
  const duration = units.length * unitSampleFrames;
  const moov = (firstUnitOffset: number) => {
    const stbl = box(
      'stbl',
      box('stsd', u32(0, 1), entry),
      box('stts', u32(0, 1, units.length, unitSampleFrames)),
      box('stsc', u32(0, 1, 1, units.length, 1)),
      box('stsz', u32(0, 0, units.length), numbers(units.map((unit) => unit.length))),
      box('stco', u32(0, 1, firstUnitOffset)),
    );
    const dinf = box('dinf', box('dref', u32(0, 1), box('url ', u32(1))));
    const mdia = box(
      'mdia',
      box('mdhd', u32(0, 0, 0, sampleRate, duration, undetermined)),
      box('hdlr', u32(0, 0), text('soun'), u32(0, 0, 0), new Uint8Array(1)),
      box('minf', box('smhd', u32(0, 0)), dinf, stbl),
    );
    const trak = box(
      'trak',
      box('tkhd', u32(7, 0, 0, 1, 0, duration, 0, 0, 0, 0x0100_0000), unityMatrix, u32(0, 0)),
      mdia,
    );
    const mvhd = u32(0, 0, 0, sampleRate, duration, 0x0001_0000, 0x0100_0000, 0, 0);
    return box('moov', box('mvhd', mvhd, unityMatrix, u32(0, 0, 0, 0, 0, 0, 2)), trak);
  };
  // The size of `moov` does not depend on the offset in it. The units are behind the 8 bytes of header of `mdat`.
  const firstUnitOffset = ftyp.length + moov(0).length + 8;
  return Buffer.concat([ftyp, moov(firstUnitOffset), box('mdat', Buffer.concat(units))]);
}

/** The language code `und`, and two unused bytes. */
const undetermined = 0x55c4_0000;
const unityMatrix = u32(0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000);

/** The sample entry of AAC-LC: an `esds` box with the two bytes that give rate and channels. */
export function aacEntry(rateIndex: number, channels: number): Uint8Array {
  const config = (2 << 11) | (rateIndex << 7) | (channels << 3);
  const specific = descriptor(5, [config >> 8, config & 0xff]);
  const decoder = descriptor(4, [0x40, 0x15, ...new Uint8Array(11), ...specific]);
  const stream = descriptor(3, [0, 1, 0, ...decoder, ...descriptor(6, [2])]);
  return sampleEntry('mp4a', channels, 16, box('esds', u32(0), Uint8Array.from(stream)));
}

/** The sample entry of ALAC around its magic cookie of 24 bytes. */
export function alacEntry(cookie: Uint8Array): Uint8Array {
  const [bitsPerSample, channels] = [cookie[5]!, cookie[9]!];
  return sampleEntry('alac', channels, bitsPerSample, box('alac', u32(0), cookie));
}

function sampleEntry(type: string, channels: number, bitsPerSample: number, config: Uint8Array): Uint8Array {
  return box(type, u32(0, 1, 0, 0, (channels << 16) | bitsPerSample, 0, 0), config);
}

function descriptor(tag: number, content: number[]): number[] {
  return [tag, content.length, ...content];
}

export function box(type: string, ...content: Uint8Array[]): Buffer {
  const size = content.reduce((sum, part) => sum + part.length, 8);
  return Buffer.concat([u32(size), text(type), ...content]);
}

function text(value: string): Buffer {
  return Buffer.from(value, 'latin1');
}

export function u32(...values: number[]): Buffer {
  return numbers(values);
}

/** Like `u32`, for more numbers than a call can have arguments. */
function numbers(values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, i * 4);
  return bytes;
}
