import { parseBlob } from 'music-metadata';
import { headerEvidence } from './finding.ts';
import type { Structure } from './formats/format.ts';
import { formats } from './formats/formats.ts';
import type { Evidence } from './report.ts';
import type { SourceReader } from './source-reader.ts';

const freeType = Buffer.from('free');

/**
 * The second opinion of music-metadata: its tags, and evidence if its channels or sample rate differ from ours. It gets
 * no file name and no MIME type, so that it goes by the content. Too many chunks or boxes would overload it, so our
 * reader of the container counts them first.
 */
export async function readOpinion(
  reader: SourceReader,
  { audio, hiddenBoxTypeOffset }: Structure,
): Promise<{ tags: string[]; evidence: Evidence[] }> {
  const none = { tags: [], evidence: [] };
  // music-metadata does not know these two.
  if (/^(RF64|BW64)/.test(await reader.text(0, 4))) return none;
  const blob = new ReaderBlob(reader, hiddenBoxTypeOffset);
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
  readonly #hiddenBoxTypeOffset: number;

  /**
   * @param hiddenBoxTypeOffset offset of the type of an MP4 box that music-metadata need not read. Its type is read as
   * `free`, so that music-metadata skips the box.
   */
  constructor(reader: SourceReader, hiddenBoxTypeOffset = Number.POSITIVE_INFINITY) {
    super();
    this.#reader = reader;
    this.#hiddenBoxTypeOffset = hiddenBoxTypeOffset;
  }

  override get size(): number {
    return this.#reader.size;
  }

  override slice(start = 0, end = this.size): Blob {
    const arrayBuffer = async () => {
      const bytes = new Uint8Array(await this.#reader.read(start, end - start));
      const at = this.#hiddenBoxTypeOffset - start;
      if (at >= 0 && at + freeType.length <= bytes.length) bytes.set(freeType, at);
      return bytes.buffer;
    };
    return Object.assign(new Blob(), { arrayBuffer });
  }
}
