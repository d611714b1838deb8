import { box, u32 } from '../../src/audio/formats/mp4/remux.ts';
import type { Source } from '../../src/audio/source.ts';
import { seeded } from '../random.ts';

/**
 * Files that are built to overload a parser, and parts to build ordinary files from. Everything is made in memory, and
 * is the same in each run.
 */

/** Bytes in memory as a source. Counts the bytes that were read. */
export function sourceOf(bytes: Uint8Array): Source & { bytesRead: number } {
  return {
    size: bytes.length,
    bytesRead: 0,
    async read(offset, length) {
      this.bytesRead += length;
      return new Uint8Array(bytes.subarray(offset, offset + length));
    },
    close: async () => {},
  };
}

export function chunk(id: string, content: Uint8Array = new Uint8Array(0), size = content.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 'latin1');
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}

/** A `fmt ` chunk of PCM. Any field can be given a wrong value. */
export function format(
  fields: { tag?: number; channels?: number; rate?: number; bits?: number; blockAlign?: number } = {},
): Buffer {
  const { tag = 1, channels = 2, rate = 8000, bits = 16 } = fields;
  const { blockAlign = channels * Math.ceil(bits / 8) } = fields;
  const content = Buffer.alloc(16);
  content.writeUInt16LE(tag, 0);
  content.writeUInt16LE(channels, 2);
  content.writeUInt32LE(rate, 4);
  content.writeUInt32LE(rate * blockAlign, 8);
  content.writeUInt16LE(blockAlign, 12);
  content.writeUInt16LE(bits, 14);
  return chunk('fmt ', content);
}

export function wav(...chunks: Uint8Array[]): Buffer {
  return riff('RIFF', undefined, ...chunks);
}

export function riff(form: string, size: number | undefined, ...chunks: Uint8Array[]): Buffer {
  const content = Buffer.concat([Buffer.from('WAVE'), ...chunks]);
  const head = Buffer.alloc(8);
  head.write(form, 'latin1');
  head.writeUInt32LE(size ?? content.length, 4);
  return Buffer.concat([head, content]);
}

/** Bursts of noise on each channel in turn, as 16-bit stereo. The check takes them for two voices. */
export function talk(seconds: number, rate = 8000): Buffer {
  const random = seeded(1);
  const samples = Buffer.alloc(seconds * rate * 4);
  for (let i = 0; i < seconds * rate; i++) {
    const channel = Math.floor(i / rate) % 2;
    const amplitude = (i % rate) / rate < 0.8 ? 8000 : 100;
    samples.writeInt16LE(Math.round((random() - 0.5) * amplitude), i * 4 + channel * 2);
    samples.writeInt16LE(Math.round((random() - 0.5) * 100), i * 4 + (1 - channel) * 2);
  }
  return samples;
}

/** A FLAC metadata block. */
export function block(type: number, content: Uint8Array, last = false): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(((last ? 0x80 : 0) + type) * 0x100_0000 + content.length);
  return Buffer.concat([head, content]);
}

/** A STREAMINFO of 16-bit samples. */
export function streamInfo(sampleFrames: number, rate = 8000, channels = 2): Buffer {
  const content = Buffer.alloc(34);
  content.writeUInt16BE(4096, 0);
  content.writeUInt16BE(4096, 2);
  content.writeBigUInt64BE(
    (BigInt(rate) << 44n) | (BigInt(channels - 1) << 41n) | (15n << 36n) | BigInt(sampleFrames),
    10,
  );
  return content;
}

function repeat(part: Uint8Array, bytes: number): Buffer {
  return Buffer.alloc(Math.floor(bytes / part.length) * part.length, part);
}

const fileBytes = 12 * 1024 * 1024;
const ftyp = box('ftyp', Buffer.from('M4A \0\0\0\0'));

/** Vorbis comments: an empty vendor, then as many empty comments as fit into the block. */
function emptyComments(): Buffer {
  const content = Buffer.alloc(fileBytes);
  content.writeUInt32LE(0, 0);
  content.writeUInt32LE((fileBytes - 8) / 4, 4);
  return content;
}

/** 5,000 boxes, one inside the other. */
function nest(): Buffer {
  let nested = box('free');
  for (let depth = 0; depth < 5000; depth++) nested = box('moov', nested);
  return nested;
}

/** Files of up to 12 MB on which a naive parser spends seconds or memory, by their content. */
export const hostile: Record<string, () => Uint8Array> = {
  'WAV of empty chunks': () => wav(repeat(chunk('JUNK'), fileBytes), format(), chunk('data', talk(2))),
  'WAV of empty LIST chunks': () => wav(format(), repeat(chunk('LIST'), fileBytes), chunk('data', talk(2))),
  'WAV of empty INFO tags': () =>
    wav(
      format(),
      chunk('data', talk(2)),
      chunk('LIST', Buffer.concat([Buffer.from('INFO'), repeat(chunk('ICMT'), fileBytes)])),
    ),
  'WAV of empty ID3 frames': () =>
    wav(
      format(),
      chunk('data', talk(2)),
      chunk(
        'id3 ',
        Buffer.concat([
          Buffer.from('ID3\x04\0\0\x05\x7f\x7f\x7f', 'latin1'),
          repeat(Buffer.from('TXXX\0\0\0\0\0\0'), fileBytes),
        ]),
      ),
    ),
  'FLAC of empty padding': () =>
    Buffer.concat([
      Buffer.from('fLaC'),
      block(0, streamInfo(8000)),
      repeat(block(1, new Uint8Array(0)), fileBytes),
    ]),
  'FLAC of empty comments': () =>
    Buffer.concat([
      Buffer.from('fLaC'),
      block(0, streamInfo(8000)),
      block(4, emptyComments(), true),
      Buffer.alloc(64),
    ]),
  'FLAC of frame headers without frames': () =>
    Buffer.concat([
      Buffer.from('fLaC'),
      block(0, streamInfo(8000), true),
      repeat(Buffer.from('fff8541800fa', 'hex'), fileBytes),
    ]),
  'MP4 of empty boxes': () => Buffer.concat([ftyp, repeat(box('free'), fileBytes)]),
  'MP4 of empty boxes inside moov': () => Buffer.concat([ftyp, box('moov', repeat(box('trak'), fileBytes))]),
  'MP4 of empty tags': () =>
    Buffer.concat([
      ftyp,
      box('moov', box('udta', box('meta', Buffer.alloc(4), box('ilst', repeat(box('----'), fileBytes))))),
    ]),
  'MP4 of boxes inside boxes': () => Buffer.concat([ftyp, nest()]),
  'MP4 with a table of 2^32 - 1 samples': () => Buffer.concat([ftyp, hugeTable()]),
};

/** One sound track. Its size table declares 2^32 - 1 samples of one byte. */
function hugeTable(): Buffer {
  const cookie = Buffer.concat([u32(4096), Buffer.from([0, 16, 40, 10, 14, 2, 0, 255]), u32(0, 0, 8000)]);
  const entry = box('alac', u32(0, 1, 0, 0, 0x0002_0010, 0, 8000 * 65536), box('alac', u32(0), cookie));
  const stbl = box(
    'stbl',
    box('stsd', u32(0, 1), entry),
    box('stts', u32(0, 1, 0xffff_ffff, 4096)),
    box('stsc', u32(0, 1, 1, 0xffff_ffff, 1)),
    box('stsz', u32(0, 1, 0xffff_ffff)),
    box('stco', u32(0, 1, 24)),
  );
  const hdlr = box('hdlr', u32(0, 0), Buffer.from('soun'), u32(0, 0, 0));
  return box('moov', box('trak', box('mdia', hdlr, box('minf', stbl))));
}
