import { parseBlob } from 'music-metadata';
import { headerEvidence } from './finding.ts';
import type { Structure } from './formats/format.ts';
import { formats } from './formats/formats.ts';
import type { Evidence } from './report.ts';
import type { SourceReader } from './source-reader.ts';

const free = Buffer.from('free');

/**
 * Asks music-metadata for the tags it knows, and for a second opinion. It is given no name and no MIME type, so
 * that it looks at the content, and only files whose chunks or boxes were counted before.
 *
 * What it says of channels in MP4, of sub-formats and of RF64 is known to be wrong, so that is not compared.
 */
export async function readOpinion(
  reader: SourceReader,
  { audio, hiddenBoxType }: Pick<Structure, 'audio' | 'hiddenBoxType'>,
): Promise<{ tags: string[]; evidence: Evidence[] }> {
  const none = { tags: [], evidence: [] };
  if (/^(RF64|BW64)/.test(await reader.text(0, 4))) return none;
  const blob = new ReaderBlob(reader, hiddenBoxType);
  const parsed = await parseBlob(blob, { duration: false, skipCovers: true }).catch(() => undefined);
  reader.settle();
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

/** What a reader reads, as the kind of object that music-metadata reads at random. */
class ReaderBlob extends Blob {
  #reader: SourceReader;
  #hidden: number;

  /** @param hidden where the name of a box lies that is passed off as free space: an hour's tables take 600 KB */
  constructor(reader: SourceReader, hidden = Number.POSITIVE_INFINITY) {
    super();
    this.#reader = reader;
    this.#hidden = hidden;
  }

  override get size(): number {
    return this.#reader.size;
  }

  override slice(start = 0, end = this.size): Blob {
    const arrayBuffer = async () => {
      const bytes = new Uint8Array(await this.#reader.read(start, end - start));
      if (start <= this.#hidden && this.#hidden + 4 <= end) bytes.set(free, this.#hidden - start);
      return bytes.buffer;
    };
    return Object.assign(new Blob(), { arrayBuffer });
  }
}
