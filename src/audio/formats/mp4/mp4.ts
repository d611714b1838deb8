import { Finding, headerEvidence } from '../../finding.ts';
import type { Evidence } from '../../report.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { Structure } from '../format.ts';
import { all, type Box, find, readBoxes } from './boxes.ts';
import { readSampleEntry } from './sample-entry.ts';
import { readUnitTable } from './unit-table.ts';
import { unitTrack } from './units.ts';

const maxTagBytes = 256 * 1024;
/** AAC encoders have a delay of 1,024 to 2,624 sample frames. */
const maxPrimingSampleFrames = 4096;

/**
 * Reads an MP4 file (ISO 14496-12 and -14). Its index may be before the audio, after it, or spread over fragments.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readMp4(reader: SourceReader): Promise<Structure> {
  const top = await readBoxes(reader);
  if ((await reader.text(8, 4)) === 'qt  ') throw new Finding('unsupported_container', 'QuickTime');
  const moov = top.find(({ type }) => type === 'moov');
  if (!moov) throw new Finding('truncated', 'no moov box');
  rejectManyTags(moov);

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

  const entry = await readSampleEntry(reader, trak);
  const table = await readUnitTable(reader, top, trak);
  const { decodedRate, unitSampleFrames, decoderEntry } = entry;
  return {
    audio: {
      container: 'mp4',
      ...entry.audio,
      durationSeconds: (table.sizes.length * unitSampleFrames) / decodedRate,
      size: reader.size,
    },
    evidence: [...evidence, ...entry.evidence],
    tags: await readKeys(reader, moov),
    hiddenBoxTypeOffset: find(trak, 'mdia', 'minf', 'stbl')!.at + 4,
    ...(decoderEntry && {
      track: unitTrack({
        entry: decoderEntry,
        sampleRate: decodedRate,
        unitSampleFrames,
        primingSampleFrames: await readPriming(reader, trak, decodedRate),
        ...table,
      }),
    }),
  };
}

/** Tags other than cover pictures take a few hundred bytes. 256 KiB of them is an attack on a parser. */
function rejectManyTags(moov: Box): void {
  const items = metasOf(moov)
    .flatMap((box) => all(box, 'ilst'))
    .flatMap((box) => box.children);
  const bytes = items
    .filter(({ type }) => type !== 'covr')
    .reduce((sum, box) => sum + box.end - box.start, 0);
  if (bytes > maxTagBytes) throw new Finding('too_complex', bytes, maxTagBytes);
}

/**
 * The sample frames that the edit list (ISO 14496-12 §8.6.6) skips at the start: the encoder's delay. If the edit list
 * skips more, it makes a cut, which some players ignore. All of the audio then counts.
 */
async function readPriming(reader: SourceReader, trak: Box, sampleRate: number): Promise<number> {
  const [elst, mdhd] = [find(trak, 'edts', 'elst'), find(trak, 'mdia', 'mdhd')];
  if (!elst || !mdhd || elst.end - elst.start < 16) return 0;
  const header = await reader.view(mdhd.start, 24);
  const timescale = header.getUint32(header.getUint8(0) === 1 ? 20 : 12);
  const edits = await reader.view(elst.start, Math.min(28, elst.end - elst.start));
  const isWide = edits.getUint8(0) === 1 && edits.byteLength >= 24;
  const start = isWide ? Number(edits.getBigInt64(16)) : edits.getInt32(12);
  const sampleFrames = Math.round((start / timescale) * sampleRate);
  return sampleFrames >= 0 && sampleFrames <= maxPrimingSampleFrames ? sampleFrames : 0;
}

/** Tags are in `moov` itself or in its user data. */
function metasOf(moov: Box): Box[] {
  return [moov, ...all(moov, 'udta')].flatMap((box) => all(box, 'meta'));
}

/** `name=value` of the QuickTime metadata keys (`mdta`), as ffmpeg and phone recorders write them. */
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
    // The type of an item is the number of its key, from 1.
    const name = names[Buffer.from(item.type, 'latin1').readUInt32BE() - 1];
    const data = find(item, 'data');
    if (name && data)
      tags.push(`${name}=${await reader.text(data.start + 8, Math.min(1024, data.end - data.start - 8))}`);
  }
  return tags;
}
