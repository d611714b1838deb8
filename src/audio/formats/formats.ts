import type { Container } from '../../unions.ts';
import { readFlac } from './flac/flac.ts';
import type { Format } from './format.ts';
import { readMp4 } from './mp4/mp4.ts';
import { readWav } from './wav/wav.ts';

/**
 * The supported formats. To add one, add a folder here with its reader and its decoder, add an entry to this table
 * and its name to `Container`, and remove its row from `unsupportedFormats`.
 */
export const formats: Record<Container, Format> = {
  wav: {
    // Also a file that ends inside the 12 bytes of this signature.
    signature: /^(RIFF|RF64|BW64)(....WAVE|.{0,7}$)/s,
    endings: ['wav', 'wave', 'bwf', 'rf64'],
    comparable: true,
    read: readWav,
  },
  flac: {
    signature: /^fLaC/,
    afterId3: true,
    endings: ['flac'],
    comparable: true,
    read: readFlac,
  },
  mp4: {
    signature: /^....ftyp/s,
    endings: ['mp4', 'm4a', 'm4b'],
    comparable: false,
    read: readMp4,
  },
};

/** The unsupported formats that a report can name: how their files start and how their file names end. */
export const unsupportedFormats: { name: string; starts: readonly string[]; endings: readonly string[] }[] = [
  {
    name: 'MP3',
    starts: ['ID3', '\xff\xfb', '\xff\xfa', '\xff\xf3', '\xff\xf2', '\xff\xe3'],
    endings: ['mp3'],
  },
  { name: 'ADTS AAC', starts: ['\xff\xf1', '\xff\xf9'], endings: ['aac'] },
  { name: 'Ogg', starts: ['OggS'], endings: ['ogg', 'oga', 'opus'] },
  { name: 'AIFF', starts: ['FORM'], endings: ['aiff', 'aif'] },
  { name: 'AVI', starts: ['RIFF'], endings: [] },
  { name: 'Matroska or WebM', starts: ['\x1a\x45\xdf\xa3'], endings: ['webm'] },
  { name: 'AMR', starts: ['#!AMR'], endings: ['amr'] },
  { name: 'GSM', starts: [], endings: ['gsm'] },
  { name: 'CAF', starts: ['caff'], endings: [] },
  { name: 'Sun audio', starts: ['.snd'], endings: [] },
  { name: 'Windows Media', starts: ['\x30\x26\xb2\x75'], endings: ['wma'] },
  // The MP4 reader recognises QuickTime by its brand.
  { name: 'QuickTime', starts: [], endings: ['mov'] },
  { name: 'ZIP', starts: ['PK\x03\x04'], endings: [] },
  { name: 'gzip', starts: ['\x1f\x8b'], endings: [] },
  { name: 'HTML or XML', starts: ['<'], endings: ['html'] },
  { name: 'text', starts: [], endings: ['txt'] },
];
