import { Finding, headerEvidence } from '../../finding.ts';
import type { Evidence } from '../../report.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { Structure } from '../format.ts';
import { rates, readAudioConfig } from './aac.ts';
import { all, type Box, find, readBoxes } from './boxes.ts';
import { aacEntry, alacEntry } from './remux.ts';
import { readSampleTable } from './sample-table.ts';
import { unitTrack } from './units.ts';

const maxTagBytes = 256 * 1024;
/** Sample frames. Encoders of AAC take 1024 to 2624 to warm up. */
const maxPriming = 4096;
/** Encoders of ALAC put 4,096 sample frames into a unit. */
const maxAlacFrames = 16 * 1024;

/** What a sample entry says, once its codec is known and accepted. */
interface Entry {
  codec: string;
  channels: number;
  sampleRate: number;
  bitsPerSample?: number;
  evidence: Evidence[];
  framesPerUnit: number;
  /** Of the samples that a decoder puts out. */
  decodedRate: number;
  /** Absent where no decoder here does the codec justice. */
  decoderEntry?: Uint8Array;
}

/**
 * Reads an MP4 file (ISO 14496-12 and -14), its index before, behind or in fragments among the audio.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readMp4(reader: SourceReader): Promise<Structure> {
  const top = await readBoxes(reader);
  if ((await reader.text(8, 4)) === 'qt  ') throw new Finding('unsupported_container', 'QuickTime');
  const moov = top.find(({ type }) => type === 'moov');
  if (!moov) throw new Finding('truncated', 'no moov box');
  refuseManyTags(moov);

  const evidence: Evidence[] = [];
  const tracks: Box[] = [];
  for (const trak of all(moov, 'trak')) {
    const hdlr = find(trak, 'mdia', 'hdlr');
    const handler = hdlr ? await reader.text(hdlr.start + 8, 4) : '';
    if (handler === 'soun') tracks.push(trak);
    if (handler === 'vide') evidence.push(headerEvidence('video_present', true));
  }
  const [trak] = tracks;
  if (!trak) throw new Finding('no_audio_track', 'no sound track');
  if (tracks.length > 1) throw new Finding('multiple_audio_tracks', tracks.length, 1);

  const entry = await readEntry(reader, trak);
  const units = await readSampleTable(reader, top, trak);
  const { codec, channels, sampleRate, bitsPerSample, framesPerUnit, decodedRate, decoderEntry } = entry;
  return {
    audio: {
      container: 'mp4',
      codec,
      channels,
      sampleRate,
      ...(bitsPerSample && { bitsPerSample }),
      durationSeconds: (units.sizes.length * framesPerUnit) / decodedRate,
      size: reader.size,
    },
    evidence: [...evidence, ...entry.evidence],
    tags: await readKeys(reader, moov),
    hiddenBoxType: find(trak, 'mdia', 'minf', 'stbl')!.start - 4,
    ...(decoderEntry && {
      track: unitTrack({
        entry: decoderEntry,
        sampleRate: decodedRate,
        framesPerUnit,
        priming: await readPriming(reader, trak, decodedRate),
        ...units,
      }),
    }),
  };
}

/** Cover pictures aside, tags are a few hundred bytes; a quarter of a megabyte of them is an attack on a parser. */
function refuseManyTags(moov: Box): void {
  const items = metasOf(moov)
    .flatMap((box) => all(box, 'ilst'))
    .flatMap((box) => box.children);
  const bytes = items
    .filter(({ type }) => type !== 'covr')
    .reduce((sum, box) => sum + box.end - box.start, 0);
  if (bytes > maxTagBytes) throw new Finding('too_complex', bytes, maxTagBytes);
}

async function readEntry(reader: SourceReader, trak: Box): Promise<Entry> {
  const stsd = find(trak, 'mdia', 'minf', 'stbl', 'stsd');
  if (!stsd) throw new Finding('bad_header', 'no stsd box');
  const entries = (await reader.view(stsd.start, 8)).getUint32(4);
  if (entries !== 1) throw new Finding('bad_header', `${entries} sample entries`, 1);
  const bytes = await reader.read(stsd.start + 8, Math.min(stsd.end - stsd.start - 8, 64 * 1024));
  const entry = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = entry.toString('latin1', 4, 8);
  if (type === 'alac') return readAlac(entry);
  if (type !== 'mp4a') throw new Finding('unsupported_codec', type);

  const esds = entry.indexOf('esds', 36, 'latin1');
  const config = esds < 0 ? undefined : readAudioConfig(entry.subarray(esds + 8));
  if (!config) throw new Finding('bad_header', 'no AudioSpecificConfig');
  if (!config.codec) throw new Finding('unsupported_codec', config.objectType);
  const evidence: Evidence[] = [];
  if (config.codec === 'HE-AAC') evidence.push(headerEvidence('uncommon_codec', config.codec));
  if (config.codec === 'HE-AAC v2') evidence.push(headerEvidence('parametric_stereo', config.objectType));
  // Parametric stereo is made behind the core, and this decoder knows neither it nor frames of 960.
  const decodable =
    config.codec !== 'HE-AAC v2' && config.coreRateIndex >= 0 && config.framesPerUnit === 1024;
  return {
    codec: config.codec,
    channels: config.channels,
    sampleRate: config.sampleRate,
    evidence,
    framesPerUnit: config.framesPerUnit,
    decodedRate: rates[config.coreRateIndex] ?? config.sampleRate,
    ...(decodable && { decoderEntry: aacEntry(config.coreRateIndex, config.channels) }),
  };
}

/** The magic cookie of ALAC, which tells what the sample entry's own fields often get wrong. */
function readAlac(entry: Buffer): Entry {
  const at = entry.indexOf('alac', 36, 'latin1') + 8;
  if (at < 36 || at + 24 > entry.length) throw new Finding('bad_header', 'no ALAC configuration');
  const cookie = entry.subarray(at, at + 24);
  const sampleRate = cookie.readUInt32BE(20);
  const framesPerUnit = cookie.readUInt32BE(0);
  if (framesPerUnit < 1 || framesPerUnit > maxAlacFrames) {
    throw new Finding('bad_header', `${framesPerUnit} samples in a unit`, maxAlacFrames);
  }
  return {
    codec: 'ALAC',
    channels: cookie[9]!,
    sampleRate,
    bitsPerSample: cookie[5]!,
    evidence: [headerEvidence('uncommon_codec', 'ALAC')],
    framesPerUnit,
    decodedRate: sampleRate,
    decoderEntry: alacEntry(cookie),
  };
}

/**
 * Where the edit list (ISO 14496-12 §8.6.6) lets the audio begin, in sample frames. Longer than any encoder's
 * delay, it is a cut that not every player makes: then all of the audio counts.
 */
async function readPriming(reader: SourceReader, trak: Box, sampleRate: number): Promise<number> {
  const [elst, mdhd] = [find(trak, 'edts', 'elst'), find(trak, 'mdia', 'mdhd')];
  if (!elst || !mdhd || elst.end - elst.start < 16) return 0;
  const scale = await reader.view(mdhd.start, 24);
  const timescale = scale.getUint32(scale.getUint8(0) === 1 ? 20 : 12);
  const edit = await reader.view(elst.start, Math.min(28, elst.end - elst.start));
  const wide = edit.getUint8(0) === 1 && edit.byteLength >= 24;
  const start = wide ? Number(edit.getBigInt64(16)) : edit.getInt32(12);
  const priming = Math.round((start / timescale) * sampleRate);
  return priming >= 0 && priming <= maxPriming ? priming : 0;
}

/** Tags lie in `moov` itself or in its user data. */
function metasOf(moov: Box): Box[] {
  return [moov, ...all(moov, 'udta')].flatMap((box) => all(box, 'meta'));
}

/** `name=value` of the QuickTime metadata keys that ffmpeg and recorders of phones write (`mdta`). */
async function readKeys(reader: SourceReader, moov: Box): Promise<string[]> {
  const meta = metasOf(moov).find((box) => find(box, 'keys'));
  if (!meta) return [];
  const keys = find(meta, 'keys')!;
  const table = await reader.text(keys.start, Math.min(keys.end - keys.start, maxTagBytes));
  const names: string[] = [];
  for (let at = 8; at + 8 <= table.length; ) {
    const size = Buffer.from(table.slice(at, at + 4), 'latin1').readUInt32BE();
    names.push(table.slice(at + 8, at + size));
    at += Math.max(8, size);
  }
  const tags: string[] = [];
  for (const item of find(meta, 'ilst')?.children ?? []) {
    const name = names[Buffer.from(item.type, 'latin1').readUInt32BE() - 1];
    const data = find(item, 'data');
    if (name && data)
      tags.push(`${name}=${await reader.text(data.start + 8, Math.min(1024, data.end - data.start - 8))}`);
  }
  return tags;
}
