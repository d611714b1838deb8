import type { Source } from '../../src/audio/source.ts';

/**
 * Files that were made to hurt a parser, and calls to hide among them. Everything is made in memory from
 * numbers, so that the same seed gives the same bytes.
 */

/** Bytes in memory, to be read at random; counts what was read. */
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

/** A repeatable source of numbers from 0 to 1 (mulberry32). */
export function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function chunk(id: string, content: Uint8Array = new Uint8Array(0), size = content.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 'latin1');
  head.writeUInt32LE(size, 4);
  return Buffer.concat([head, content, Buffer.alloc(content.length % 2)]);
}

/** A `fmt ` chunk of PCM; each number may lie. */
export function format(
  said: { tag?: number; channels?: number; rate?: number; bits?: number; blockAlign?: number } = {},
): Buffer {
  const { tag = 1, channels = 2, rate = 8000, bits = 16 } = said;
  const { blockAlign = channels * Math.ceil(bits / 8) } = said;
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

/** Bursts of noise in turns, as 16-bit samples: enough of two voices for the check to hear two. */
export function talk(seconds: number, rate = 8000): Buffer {
  const next = random(1);
  const samples = Buffer.alloc(seconds * rate * 4);
  for (let i = 0; i < seconds * rate; i++) {
    const turn = Math.floor(i / rate) % 2;
    const loud = (i % rate) / rate < 0.8 ? 8000 : 100;
    samples.writeInt16LE(Math.round((next() - 0.5) * loud), i * 4 + turn * 2);
    samples.writeInt16LE(Math.round((next() - 0.5) * 100), i * 4 + 2 - turn * 2);
  }
  return samples;
}

export function box(type: string, ...content: Uint8Array[]): Buffer {
  const size = content.reduce((sum, part) => sum + part.length, 8);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(size);
  head.write(type, 4, 'latin1');
  return Buffer.concat([head, ...content]);
}

/** A FLAC metadata block. */
export function block(type: number, content: Uint8Array, last = false): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(((last ? 0x80 : 0) + type) * 0x100_0000 + content.length);
  return Buffer.concat([head, content]);
}

/** A STREAMINFO of 16-bit stereo that promises so many sample frames. */
export function streamInfo(frames: number, rate = 8000, channels = 2): Buffer {
  const content = Buffer.alloc(34);
  content.writeUInt16BE(4096, 0);
  content.writeUInt16BE(4096, 2);
  content.writeBigUInt64BE(
    (BigInt(rate) << 44n) | (BigInt(channels - 1) << 41n) | (15n << 36n) | BigInt(frames),
    10,
  );
  return content;
}

function repeat(part: Uint8Array, bytes: number): Buffer {
  return Buffer.alloc(Math.floor(bytes / part.length) * part.length, part);
}

const megabytes = 12 * 1024 * 1024;
const ftyp = box('ftyp', Buffer.from('M4A \0\0\0\0'));

/** Vorbis comments: a vendor, and then as many empty comments as the block has room for. */
function emptyComments(): Buffer {
  const content = Buffer.alloc(megabytes);
  content.writeUInt32LE(0, 0);
  content.writeUInt32LE((megabytes - 8) / 4, 4);
  return content;
}

/** An atom inside 5,000 others. */
function nest(): Buffer {
  let nested = box('free');
  for (let depth = 0; depth < 5000; depth++) nested = box('moov', nested);
  return nested;
}

/** Files of 12 MB that cost a trusting parser seconds, by what they are full of. */
export const hostile: Record<string, () => Uint8Array> = {
  'WAV of empty chunks': () => wav(repeat(chunk('JUNK'), megabytes), format(), chunk('data', talk(2))),
  'WAV of empty LIST chunks': () => wav(format(), repeat(chunk('LIST'), megabytes), chunk('data', talk(2))),
  'WAV of empty INFO tags': () =>
    wav(
      format(),
      chunk('data', talk(2)),
      chunk('LIST', Buffer.concat([Buffer.from('INFO'), repeat(chunk('ICMT'), megabytes)])),
    ),
  'WAV of empty ID3 frames': () =>
    wav(
      format(),
      chunk('data', talk(2)),
      chunk(
        'id3 ',
        Buffer.concat([
          Buffer.from('ID3\x04\0\0\x05\x7f\x7f\x7f', 'latin1'),
          repeat(Buffer.from('TXXX\0\0\0\0\0\0'), megabytes),
        ]),
      ),
    ),
  'FLAC of empty padding': () =>
    Buffer.concat([
      Buffer.from('fLaC'),
      block(0, streamInfo(8000)),
      repeat(block(1, new Uint8Array(0)), megabytes),
    ]),
  'FLAC of empty comments': () =>
    Buffer.concat([
      Buffer.from('fLaC'),
      block(0, streamInfo(8000)),
      block(4, emptyComments(), true),
      Buffer.alloc(64),
    ]),
  'FLAC of heads without frames': () =>
    Buffer.concat([
      Buffer.from('fLaC'),
      block(0, streamInfo(8000), true),
      repeat(Buffer.from('fff8541800fa', 'hex'), megabytes),
    ]),
  'MP4 of empty atoms': () => Buffer.concat([ftyp, repeat(box('free'), megabytes)]),
  'MP4 of empty atoms inside moov': () => Buffer.concat([ftyp, box('moov', repeat(box('trak'), megabytes))]),
  'MP4 of empty tags': () =>
    Buffer.concat([
      ftyp,
      box('moov', box('udta', box('meta', Buffer.alloc(4), box('ilst', repeat(box('----'), megabytes))))),
    ]),
  'MP4 of atoms inside atoms': () => Buffer.concat([ftyp, nest()]),
  'MP4 with a table of four thousand million samples': () => Buffer.concat([ftyp, greedy()]),
};

/** One sound track whose size table says that each of its 2^32 - 1 samples has one byte. */
function greedy(): Buffer {
  const u32 = (...values: number[]) =>
    Buffer.concat(
      values.map((value) => {
        const bytes = Buffer.alloc(4);
        bytes.writeUInt32BE(value);
        return bytes;
      }),
    );
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
