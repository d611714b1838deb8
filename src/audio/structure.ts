import { Finding, headerEvidence } from './finding.ts';
import type { Structure } from './formats/format.ts';
import { formats, unsupportedFormats } from './formats/formats.ts';
import { readOpinion } from './opinion.ts';
import type { AudioFacts, Declared, Evidence } from './report.ts';
import type { SourceReader } from './source-reader.ts';
import { readChannelMap, type Tags } from './tags.ts';

/** 7 hours at 48 kHz, 41 at 8 kHz. A limit in bytes does not suffice, because silence compresses to almost nothing. */
const maxSampleFrames = 1_200_000_000;
const minDurationSeconds = 1;

/**
 * Reads what the file is and whether it is complete. Its content decides, not its name.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readStructure(
  reader: SourceReader,
  declared: Declared,
): Promise<Omit<Structure, 'tags'> & { tags: Tags }> {
  if (reader.size === 0) throw new Finding('empty_file', 0);
  const structure = await readContainer(reader).catch((error) => {
    // DataView throws a RangeError if a box or chunk is shorter than its fields.
    throw error instanceof RangeError ? new Finding('bad_header', error.message) : error;
  });
  const { audio, evidence } = structure;
  const opinion = await readOpinion(reader, structure);
  evidence.push(...judgeAudio(audio), ...opinion.evidence, ...judgeName(audio, declared.fileName));
  return { ...structure, tags: readChannelMap([...structure.tags, ...opinion.tags]) };
}

async function readContainer(reader: SourceReader): Promise<Structure> {
  const start = await reader.text(0, 512);
  const id3Bytes = start.startsWith('ID3') ? id3BytesOf(start) : 0;
  const afterId3 = id3Bytes > 0 ? await reader.text(id3Bytes, 512) : undefined;
  for (const format of Object.values(formats)) {
    if (format.signature.test(start)) return format.read(reader, 0);
    if (format.afterId3 && afterId3 && format.signature.test(afterId3)) return format.read(reader, id3Bytes);
  }
  const trimmed = start.trimStart();
  const unsupported = unsupportedFormats.find(({ starts }) =>
    starts.some((bytes) => trimmed.startsWith(bytes)),
  );
  const isText = /^[\s\x20-\x7e]+$/.test(start);
  throw new Finding('unsupported_container', unsupported?.name ?? (isText ? 'text' : 'unknown'));
}

/** Size of an ID3v2 tag and its header of 10 bytes. The header gives the size in four bytes of seven bits each. */
function id3BytesOf(start: string): number {
  const [a, b, c, d] = [6, 7, 8, 9].map((at) => start.charCodeAt(at) & 0x7f);
  return 10 + ((a! << 21) | (b! << 14) | (c! << 7) | d!);
}

/** The first thing that is wrong with the channel count, the sample rate or the duration. */
function judgeAudio({ channels = 0, sampleRate = 0, durationSeconds = 0 }: AudioFacts): Evidence[] {
  if (channels === 0) return [headerEvidence('bad_header', 'no channels')];
  if (sampleRate < 4000 || sampleRate > 192_000) return [headerEvidence('bad_header', `${sampleRate} Hz`)];
  if (channels === 1) return [headerEvidence('mono', 1, 2)];
  if (channels > 2) return [headerEvidence('too_many_channels', channels, 2)];
  if (durationSeconds === 0) return [headerEvidence('empty_file', 0)];
  if (durationSeconds < minDurationSeconds) {
    return [headerEvidence('too_short', durationSeconds, minDurationSeconds)];
  }
  const sampleFrames = durationSeconds * sampleRate;
  if (sampleFrames <= maxSampleFrames) return [];
  return [headerEvidence('too_large', `${Math.round(sampleFrames)} samples a channel`, maxSampleFrames)];
}

/** Warns if the file name has the ending of another format. */
function judgeName({ container }: Structure['audio'], fileName = ''): Evidence[] {
  const ending = /\.(\w+)$/.exec(fileName)?.[1]?.toLowerCase() ?? '';
  const known = [...Object.values(formats), ...unsupportedFormats].some(({ endings }) =>
    endings.includes(ending),
  );
  const contradicts = known && !formats[container].endings.includes(ending);
  return contradicts ? [headerEvidence('extension_mismatch', `.${ending}`)] : [];
}
