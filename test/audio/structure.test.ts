import { readFileSync } from 'node:fs';
import t from 'tap';
import { Finding } from '../../src/audio/finding.ts';
import { aacEntry, box, writeMp4 } from '../../src/audio/formats/mp4/remux.ts';
import type { AudioFacts } from '../../src/audio/report.ts';
import type { Source } from '../../src/audio/source.ts';
import { SourceReader } from '../../src/audio/source-reader.ts';
import { readStructure } from '../../src/audio/structure.ts';
import type { Tags } from '../../src/audio/tags.ts';
import { chunk, format, riff, sourceOf, talk, wav } from './hostile.ts';

interface Found {
  audio?: AudioFacts;
  tags?: Tags;
  codes: string[];
}

async function read(source: Source, fileName?: string): Promise<Found> {
  const reader = new SourceReader(source);
  reader.allow(20_000_000, 5000);
  try {
    const { audio, tags, evidence } = await readStructure(reader, { fileName });
    return { audio, tags, codes: evidence.map(({ code }) => code) };
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    return { codes: [error.evidence.code] };
  }
}

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/${name}`, import.meta.url));
const audio = chunk('data', talk(2));
const whole = wav(format(), audio);
const unknownData = (size: number) => chunk('data', talk(2), size);
const float = format({ tag: 3, bits: 32 });
const extensible = (tag: number, tail = '000000001000800000aa00389b71') => {
  const content = Buffer.concat([format({ tag: 0xfffe }).subarray(8), Buffer.alloc(24)]);
  content.writeUInt16LE(22, 16);
  content.writeUInt16LE(tag, 24);
  content.write(tail, 26, 'hex');
  return chunk('fmt ', content);
};
const ds64 = (data: number) => {
  const content = Buffer.alloc(28);
  content.writeBigUInt64LE(BigInt(data), 8);
  return chunk('ds64', content);
};

const fragmented = fixture('mp4-fragmented.mp4');
const firstFragment = fragmented.indexOf('moof') - 4;
const references = Buffer.alloc(36);
references.writeUInt16BE(1, 22);
references.writeUInt32BE(fragmented.length - firstFragment, 24);
/** The same fragments behind a segment index of one entry, which gives their size. */
const indexed = Buffer.concat([
  fragmented.subarray(0, firstFragment),
  box('sidx', references),
  fragmented.subarray(firstFragment),
]);

const good: [outcome: string, bytes: Uint8Array, facts: Partial<AudioFacts>][] = [
  [
    'PCM',
    whole,
    { container: 'wav', codec: 'PCM', channels: 2, sampleRate: 8000, bitsPerSample: 16, durationSeconds: 2 },
  ],
  [
    'float',
    wav(float, chunk('data', talk(4))), // twice the bytes of each 16-bit sample
    { codec: 'IEEE float', bitsPerSample: 32, durationSeconds: 2 },
  ],
  ['EXTENSIBLE PCM', wav(extensible(1), audio), { codec: 'PCM', durationSeconds: 2 }],
  [
    'RF64',
    riff('RF64', 0xffff_ffff, ds64(64_000), format(), unknownData(0xffff_ffff)),
    { durationSeconds: 2 },
  ],
  [
    'BW64',
    riff('BW64', 0xffff_ffff, ds64(64_000), format(), unknownData(0xffff_ffff)),
    { durationSeconds: 2 },
  ],
  ['streamed, sizes 0', riff('RIFF', 0, format(), unknownData(0)), { durationSeconds: 2 }],
  [
    'streamed, RIFF size of the header only',
    riff('RIFF', 36, format(), unknownData(0)),
    { durationSeconds: 2 },
  ],
  [
    'streamed, sizes 0xFFFFFFFF',
    riff('RIFF', 0xffff_ffff, format(), unknownData(0xffff_ffff)),
    { durationSeconds: 2 },
  ],
  ['streamed by sox', riff('RIFF', 0x7fff_f024, format(), unknownData(0x7fff_f000)), { durationSeconds: 2 }],
  [
    'streamed by sox, in whole sample frames of 24 bits',
    riff('RIFF', 0x7fff_f020, format({ bits: 24 }), chunk('data', talk(3), 0x7fff_effc)),
    { durationSeconds: 2 },
  ],
  [
    'streamed by arecord',
    riff('RIFF', 0x7fff_ff24, format(), unknownData(0x7fff_ff00)),
    { durationSeconds: 2 },
  ],
  [
    'streamed RF64, sizes 0',
    riff('RF64', 0xffff_ffff, ds64(0), format(), unknownData(0xffff_ffff)),
    { durationSeconds: 2 },
  ],
  ['junk behind the last chunk', Buffer.concat([whole, Buffer.alloc(500)]), { durationSeconds: 2 }],
  ['FLAC', fixture('plain.flac'), { container: 'flac', codec: 'FLAC', channels: 2 }],
  ['FLAC behind an ID3 tag', fixture('flac-id3.flac'), { container: 'flac', channels: 2 }],
  ['AAC in MP4', fixture('plain.mp4'), { container: 'mp4', codec: 'AAC-LC', channels: 2 }],
  ['AAC in fragments', fragmented, { container: 'mp4', codec: 'AAC-LC', channels: 2 }],
  ['AAC in fragments behind a segment index', indexed, { container: 'mp4', codec: 'AAC-LC', channels: 2 }],
];

t.test('reads', async (t) => {
  for (const [outcome, bytes, facts] of good) {
    const found = await read(sourceOf(bytes));
    t.strictSame(found.codes, [], `${outcome}: nothing wrong`);
    t.match(found.audio, facts, outcome);
  }
});

const bad: [outcome: string, bytes: Uint8Array, code: string][] = [
  ['no bytes', Buffer.alloc(0), 'empty_file'],
  ['no audio', wav(format(), chunk('data')), 'empty_file'],
  ['text', Buffer.from('Dear Sir or Madam'), 'unsupported_container'],
  ['HTML', Buffer.from('\n<!doctype html><title>404</title>'), 'unsupported_container'],
  ['MP3', Buffer.from('ID3\x04\0\0\0\0\0\0'), 'unsupported_container'],
  ['AVI', Buffer.from('RIFF\0\0\0\0AVI LIST'), 'unsupported_container'],
  ['ADPCM', wav(format({ tag: 2, bits: 4, blockAlign: 2 }), audio), 'unsupported_codec'],
  ['an unknown sub-format', wav(extensible(1, '00'.repeat(14)), audio), 'unsupported_codec'],
  ['a block align for one channel', wav(format({ blockAlign: 2 }), audio), 'bad_header'],
  ['no channels', wav(format({ channels: 0 }), audio), 'bad_header'],
  ['a rate of 1 Hz', wav(format({ rate: 1 }), audio), 'bad_header'],
  ['data before fmt', wav(audio, format()), 'bad_header'],
  ['two data chunks', wav(format(), audio, audio), 'bad_header'],
  ['audio that its size leaves out', wav(format(), chunk('data', talk(2), 32_000)), 'bad_header'],
  [
    'three bytes of the last sample frame',
    wav(format(), chunk('data', talk(2).subarray(1), 63_999)),
    'bad_header',
  ],
  ['no data chunk', wav(format()), 'no_audio_track'],
  ['the last byte missing', whole.subarray(0, -1), 'truncated'],
  ['the second half missing', whole.subarray(0, whole.length / 2), 'truncated'],
  ['only the header', whole.subarray(0, 30), 'truncated'],
  ['only the first 8 bytes', whole.subarray(0, 8), 'truncated'],
  [
    'RF64 without its second half',
    riff('RF64', 0xffff_ffff, ds64(128_000), format(), unknownData(0xffff_ffff)),
    'truncated',
  ],
  ['one channel', wav(format({ channels: 1 }), audio), 'mono'],
  ['four channels', wav(format({ channels: 4 }), audio), 'too_many_channels'],
  ['half a second', wav(format(), chunk('data', talk(1).subarray(0, 16_000))), 'too_short'],
  ['42 bytes of FLAC', fixture('flac-42-bytes.flac'), 'truncated'],
  ['FLAC without its last byte', fixture('plain.flac').subarray(0, -1), 'truncated'],
  ['AAC with 2 channels in the mp4a box and 1 in the configuration', fixture('mono-box-says-2.mp4'), 'mono'],
  ['AAC with 5.1 channels', fixture('aac-5.1.mp4'), 'too_many_channels'],
  ['two mono tracks', fixture('two-mono-tracks.mp4'), 'multiple_audio_tracks'],
  ['Opus in MP4', fixture('opus-in-mp4.mp4'), 'unsupported_codec'],
  ['MP3 in MP4', fixture('mp3-in-mp4.mp4'), 'unsupported_codec'],
  [
    'MP4 without the last fragment of its segment index',
    indexed.subarray(0, indexed.lastIndexOf('moof') - 4),
    'truncated',
  ],
  ['MP4 without its last byte', fixture('plain.mp4').subarray(0, -1), 'truncated'],
];

t.test('rejects', async (t) => {
  for (const [outcome, bytes, code] of bad) {
    t.strictSame((await read(sourceOf(bytes))).codes, [code], `${outcome}: ${code}`);
  }
});

t.test('a file name with the ending of another format is a warning, and any other is not', async (t) => {
  for (const name of ['call.wav', 'call.WAVE', 'call', 'call.2026-11-22', undefined]) {
    t.strictSame((await read(sourceOf(whole), name)).codes, [], String(name));
  }
  for (const name of ['call.mp3', 'call.wav.flac', 'call.M4A']) {
    t.strictSame((await read(sourceOf(whole), name)).codes, ['extension_mismatch'], name);
  }
});

const text = (value: string) => Buffer.from(`${value}\0`);
const info = (value: string) =>
  chunk('LIST', Buffer.concat([Buffer.from('INFO'), chunk('ICMT', text(value))]));
const tracks = (first: string, second: string) =>
  chunk(
    'iXML',
    text(
      `<BWFXML><TRACK_LIST>${[first, second].map((name, i) => `<TRACK><CHANNEL_INDEX>${i + 1}</CHANNEL_INDEX><NAME>${name}</NAME></TRACK>`).join('')}</TRACK_LIST></BWFXML>`,
    ),
  );
const tagged: [outcome: string, bytes: Uint8Array, first: string | undefined][] = [
  ['LIST/INFO comment', wav(format(), audio, info('CHANNEL_MAP=caller,recipient')), 'caller'],
  [
    'a map inside a sentence',
    wav(format(), audio, info('by PBX 4; CHANNEL_MAP=recipient,caller')),
    'recipient',
  ],
  [
    'a bext description before the audio',
    wav(format(), chunk('bext', Buffer.from('CHANNEL_MAP=caller,recipient'.padEnd(602, '\0'))), audio),
    'caller',
  ],
  [
    'RF64, which music-metadata does not know',
    riff(
      'RF64',
      0xffff_ffff,
      ds64(64_000),
      info('CHANNEL_MAP=caller,recipient'),
      format(),
      unknownData(0xffff_ffff),
    ),
    'caller',
  ],
  ['iXML track names', wav(format(), tracks('Recipient', 'Caller'), audio), 'recipient'],
  ['MP4 metadata key', fixture('tag-caller1.mp4'), 'caller'],
  ['MP4 freeform', fixture('tag-recipient1-freeform.mp4'), 'recipient'],
  ['ID3 in WAV', fixture('tag-recipient1-id3.wav'), 'recipient'],
  ['Vorbis comment', fixture('tag-caller1.flac'), 'caller'],
  [
    'none of two tags that disagree',
    wav(format(), audio, info('CHANNEL_MAP=caller,recipient'), tracks('recipient', 'caller')),
    undefined,
  ],
  [
    'no tag that gives both channels the same role',
    wav(format(), audio, info('CHANNEL_MAP=caller,caller')),
    undefined,
  ],
  ['no tag with other words', wav(format(), audio, info('left,right')), undefined],
];

t.test('finds the channel map in', async (t) => {
  for (const [outcome, bytes, first] of tagged) {
    t.equal((await read(sourceOf(bytes))).tags?.channelMap?.[0], first, outcome);
  }
});

t.test('an hour of audio takes less than 1 MB of reads', async (t) => {
  const units = Array.from({ length: (3600 * 44_100) / 1024 }, () => new Uint8Array(300));
  const hours: [string, Uint8Array, number][] = [
    [
      'AAC at 44.1 kHz',
      writeMp4({ entry: aacEntry(4, 2), sampleRate: 44_100, unitSampleFrames: 1024 }, units),
      800_000,
    ],
    [
      'PCM at 8 kHz',
      wav(format(), chunk('data', new Uint8Array(3600 * 32_000)), info('CHANNEL_MAP=caller,recipient')),
      50_000,
    ],
  ];
  for (const [outcome, bytes, limit] of hours) {
    const source = sourceOf(bytes);
    const { codes, audio } = await read(source);
    t.strictSame(codes, [], outcome);
    t.ok(Math.abs(audio!.durationSeconds! - 3600) < 1, `${outcome}: an hour`);
    t.ok(source.bytesRead < limit, `${outcome}: ${source.bytesRead} bytes read`);
  }
});
