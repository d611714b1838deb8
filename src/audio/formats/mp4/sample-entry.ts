import { Finding, headerEvidence } from '../../finding.ts';
import type { Evidence } from '../../report.ts';
import type { SourceReader } from '../../source-reader.ts';
import { rates, readAudioConfig } from './aac.ts';
import { type Box, find } from './boxes.ts';
import { aacEntry, alacEntry } from './remux.ts';

/** ALAC encoders put 4,096 sample frames into a unit. */
const maxUnitSampleFrames = 16 * 1024;
/** The fields of a sample entry of audio. Its boxes are behind them. */
const entryFieldsBytes = 36;

/** What a sample entry declares, once its codec is known and accepted. */
export interface SampleEntry {
  audio: { codec: string; channels: number; sampleRate: number; bitsPerSample?: number };
  evidence: Evidence[];
  unitSampleFrames: number;
  /** Hz, of the decoded samples: HE-AAC is decoded at the rate of its core. */
  decodedRate: number;
  /** The sample entry for the decoder. Absent if Playhead has no decoder that handles the codec correctly. */
  decoderEntry?: Uint8Array;
}

/**
 * Reads the one sample entry of a track (`stsd`, ISO 14496-12 §8.5.2).
 *
 * @throws Finding `unsupported_codec`, `bad_header`
 */
export async function readSampleEntry(reader: SourceReader, trak: Box): Promise<SampleEntry> {
  const stsd = find(trak, 'mdia', 'minf', 'stbl', 'stsd');
  if (!stsd) throw new Finding('bad_header', 'no stsd box');
  const entries = (await reader.view(stsd.start, 8)).getUint32(4);
  if (entries !== 1) throw new Finding('bad_header', `${entries} sample entries`, 1);
  const bytes = await reader.read(stsd.start + 8, Math.min(stsd.end - stsd.start - 8, 64 * 1024));
  const entry = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = entry.toString('latin1', 4, 8);
  if (type === 'alac') return readAlac(entry);
  if (type !== 'mp4a') throw new Finding('unsupported_codec', type);

  const esds = entry.indexOf('esds', entryFieldsBytes, 'latin1');
  const config = esds < 0 ? undefined : readAudioConfig(entry.subarray(esds + 8));
  if (!config) throw new Finding('bad_header', 'no AudioSpecificConfig');
  if (!config.codec) throw new Finding('unsupported_codec', config.objectType);
  const evidence: Evidence[] = [];
  if (config.codec === 'HE-AAC') evidence.push(headerEvidence('uncommon_codec', config.codec));
  if (config.codec === 'HE-AAC v2') evidence.push(headerEvidence('parametric_stereo', config.objectType));
  // The decoder knows neither parametric stereo nor units of 960 sample frames.
  const decodable =
    config.codec !== 'HE-AAC v2' && config.coreRateIndex >= 0 && config.unitSampleFrames === 1024;
  return {
    audio: { codec: config.codec, channels: config.channels, sampleRate: config.sampleRate },
    evidence,
    unitSampleFrames: config.unitSampleFrames,
    decodedRate: rates[config.coreRateIndex] ?? config.sampleRate,
    ...(decodable && { decoderEntry: aacEntry(config.coreRateIndex, config.channels) }),
  };
}

/** Reads ALAC's magic cookie. The fields of the sample entry itself are often wrong. */
function readAlac(entry: Buffer): SampleEntry {
  const alac = entry.indexOf('alac', entryFieldsBytes, 'latin1');
  const start = alac + 8;
  if (alac < 0 || start + 24 > entry.length) throw new Finding('bad_header', 'no ALAC configuration');
  const cookie = entry.subarray(start, start + 24);
  const sampleRate = cookie.readUInt32BE(20);
  const unitSampleFrames = cookie.readUInt32BE(0);
  if (unitSampleFrames < 1 || unitSampleFrames > maxUnitSampleFrames) {
    throw new Finding('bad_header', `${unitSampleFrames} samples in a unit`, maxUnitSampleFrames);
  }
  return {
    audio: { codec: 'ALAC', channels: cookie[9]!, sampleRate, bitsPerSample: cookie[5]! },
    evidence: [headerEvidence('uncommon_codec', 'ALAC')],
    unitSampleFrames,
    decodedRate: sampleRate,
    decoderEntry: alacEntry(cookie),
  };
}
