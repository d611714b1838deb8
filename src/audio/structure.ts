import { readFlac } from './formats/flac/flac.ts';
import { readMp4 } from './formats/mp4/mp4.ts';
import { readWav } from './formats/wav/wav.ts';
import { readOpinion } from './opinion.ts';
import type { AudioFacts, Declared, Evidence } from './report.ts';
import type { Reader } from './source.ts';
import { readChannelMap } from './tags.ts';
import { Finding, header, type Structure, type Tags } from './track.ts';

/** What the file's name ends with, by what it then claims to be. */
const extensions = {
  wav: ['wav', 'wave', 'bwf', 'rf64'],
  flac: ['flac'],
  mp4: ['mp4', 'm4a', 'm4b'],
  other: [
    'mp3',
    'ogg',
    'oga',
    'opus',
    'aac',
    'aiff',
    'aif',
    'amr',
    'gsm',
    'wma',
    'webm',
    'mov',
    'html',
    'txt',
  ],
};

/** How files begin that are none of ours, so that a refusal can name what they are. */
const strangers: [name: string, ...starts: string[]][] = [
  ['MP3', 'ID3', '\xff\xfb', '\xff\xfa', '\xff\xf3', '\xff\xf2', '\xff\xe3'],
  ['ADTS AAC', '\xff\xf1', '\xff\xf9'],
  ['Ogg', 'OggS'],
  ['AIFF', 'FORM'],
  ['AVI', 'RIFF'],
  ['Matroska or WebM', '\x1a\x45\xdf\xa3'],
  ['AMR', '#!AMR'],
  ['CAF', 'caff'],
  ['Sun audio', '.snd'],
  ['Windows Media', '\x30\x26\xb2\x75'],
  ['ZIP', 'PK\x03\x04'],
  ['gzip', '\x1f\x8b'],
  ['HTML or XML', '<'],
];

/** Sample frames: 7 hours at 48 kHz, 41 at 8 kHz. Silence shrinks to nothing, so a limit in bytes is none. */
const maxFrames = 1_200_000_000;
const minSeconds = 1;

/**
 * Reads what the file is from its content, and whether it is all there.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readStructure(
  reader: Reader,
  declared: Declared,
): Promise<Omit<Structure, 'tags'> & { tags: Tags }> {
  if (reader.size === 0) throw new Finding('empty_file', 0);
  const structure = await readContainer(reader).catch((error) => {
    // A box or chunk that ends before a number in it: the reader ran over its end.
    throw error instanceof RangeError ? new Finding('bad_header', error.message) : error;
  });
  const { audio, evidence } = structure;
  const opinion = await readOpinion(reader, structure);
  evidence.push(...judge(audio), ...opinion.evidence, ...judgeName(audio, declared.fileName));
  return { ...structure, tags: readChannelMap([...structure.tags, ...opinion.tags]) };
}

async function readContainer(reader: Reader): Promise<Structure> {
  const start = await reader.text(0, 512);
  if (/^(RIFF|RF64|BW64)....WAVE/s.test(start)) return readWav(reader);
  if (start.startsWith('fLaC')) return readFlac(reader, 0);
  if (start.slice(4, 8) === 'ftyp') return readMp4(reader);
  const id3 = start.startsWith('ID3') ? sizeOfId3(start) : 0;
  if (id3 > 0 && (await reader.text(id3, 4)) === 'fLaC') return readFlac(reader, id3);
  if (/^(RIFF|RF64|BW64|fLaC)/.test(start) && reader.size < 12) throw new Finding('truncated', reader.size);
  const trimmed = start.trimStart();
  const stranger = strangers.find(([, ...starts]) => starts.some((magic) => trimmed.startsWith(magic)));
  const text = /^[\s\x20-\x7e]+$/.test(start) ? 'text' : 'unknown';
  throw new Finding('unsupported_container', stranger?.[0] ?? text);
}

/** Bytes of an ID3v2 tag with its head, whose size has seven bits in each byte. */
function sizeOfId3(start: string): number {
  const [a, b, c, d] = [6, 7, 8, 9].map((at) => start.charCodeAt(at) & 0x7f);
  return 10 + ((a! << 21) | (b! << 14) | (c! << 7) | d!);
}

/** Whether this can be a call at all: two channels, a rate that exists, neither a blink nor a week. */
function judge({ channels = 0, sampleRate = 0, durationSeconds = 0 }: AudioFacts): Evidence[] {
  if (channels === 0) return [header('bad_header', 'no channels')];
  if (sampleRate < 4000 || sampleRate > 192_000) return [header('bad_header', `${sampleRate} Hz`)];
  if (channels === 1) return [header('mono', 1, 2)];
  if (channels > 2) return [header('too_many_channels', channels, 2)];
  if (durationSeconds === 0) return [header('empty_file', 0)];
  if (durationSeconds < minSeconds) return [header('too_short', durationSeconds, minSeconds)];
  const frames = durationSeconds * sampleRate;
  if (frames > maxFrames) return [header('too_large', `${Math.round(frames)} samples a channel`, maxFrames)];
  return [];
}

function judgeName({ container }: AudioFacts, fileName = ''): Evidence[] {
  const extension = /\.(\w+)$/.exec(fileName)?.[1]?.toLowerCase() ?? '';
  const claimed = Object.entries(extensions).find(([, endings]) => endings.includes(extension))?.[0];
  return claimed === undefined || claimed === container
    ? []
    : [header('extension_mismatch', `.${extension}`)];
}
