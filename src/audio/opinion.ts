import { parseBlob } from 'music-metadata';
import { headerEvidence } from './finding.ts';
import type { Structure } from './formats/format.ts';
import { formats } from './formats/formats.ts';
import type { Evidence } from './report.ts';
import type { SourceReader } from './source-reader.ts';

const free = Buffer.from('free');

/**
 * Reads the tags that music-metadata knows, and compares its channels and sample rate with ours. It gets no file name
 * and no MIME type, so that it goes by the content. It gets only files whose chunks or boxes were counted before.
 */
export async function readOpinion(
  reader: SourceReader,
  { audio, hiddenBoxType }: Structure,
): Promise<{ tags: string[]; evidence: Evidence[] }> {
  const none = { tags: [], evidence: [] };
  // It does not know these.
  if (/^(RF64|BW64)/.test(await reader.text(0, 4))) return none;
  const blob = new ReaderBlob(reader, hiddenBoxType);
  const parsed = await parseBlob(blob, { duration: false, skipCovers: true }).catch(() => undefined);
  reader.rethrow();
  if (!parsed) return none;

  const native = Object.values(parsed.native).flat();
  const tags = native.flatMap(({ id, value }) => (typeof value === 'string' ? [`${id}=${value}`] : []));
  if (!formats[audio.container].comparable) return { tags, evidence: [] };
  const { numberOfChannels, sampleRate } = parsed.format;
  const evidence: Evidence[] = [];
  if (differs(numberOfChannels, audio.channels)) {
    evidence.push(headerEvidence('channel_count_mismatch', numberOfChannels, audio.channels));
  }
  if (differs(sampleRate, audio.sampleRate)) {
    evidence.push(headerEvidence('bad_header', `${sampleRate} Hz`, audio.sampleRate));
  }
  return { tags, evidence };
}

function differs(theirs: number | undefined, ours: number | undefined): theirs is number {
  return theirs !== undefined && theirs !== ours;
}

/** A SourceReader as the Blob that music-metadata reads from. */
class ReaderBlob extends Blob {
  readonly #reader: SourceReader;
  readonly #hiddenBoxType: number;

  /** @param hiddenBoxType offset of the type of a box that is shown as `free`: an hour's sample tables take 600 KB */
  constructor(reader: SourceReader, hiddenBoxType = Number.POSITIVE_INFINITY) {
    super();
    this.#reader = reader;
    this.#hiddenBoxType = hiddenBoxType;
  }

  override get size(): number {
    return this.#reader.size;
  }

  override slice(start = 0, end = this.size): Blob {
    const arrayBuffer = async () => {
      const bytes = new Uint8Array(await this.#reader.read(start, end - start));
      const at = this.#hiddenBoxType - start;
      if (at >= 0 && at + free.length <= bytes.length) bytes.set(free, at);
      return bytes.buffer;
    };
    return Object.assign(new Blob(), { arrayBuffer });
  }
}
