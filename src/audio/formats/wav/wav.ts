import { Finding, headerEvidence } from '../../finding.ts';
import type { Evidence } from '../../report.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { Structure } from '../format.ts';
import { type PcmSamples, pcmTrack } from './pcm.ts';

const maxChunks = 1000;
const maxTagBytes = 256 * 1024;

/**
 * Whether a recorder that streams left this size unfilled. It is then 0, or a little below 2^31 or 2^32. It is below
 * because some recorders subtract the header or round down to whole sample frames: sox writes 0x7ffff000, and
 * 0x7fffeffc at 24 bits.
 */
const isUnknown = (size: number) => size === 0 || (size & 0x7fff_0000) === 0x7fff_0000;

/** By the format tag of WAVEFORMATEX. */
const encodings: Record<number, PcmSamples['encoding']> = {
  1: 'integer',
  3: 'float',
  6: 'A-law',
  7: 'µ-law',
};
const codecs = { integer: 'PCM', float: 'IEEE float', 'µ-law': 'µ-law', 'A-law': 'A-law' };
/** The sizes that a sample of each encoding can have. */
const sampleBytes = { integer: [1, 2, 3, 4], float: [4, 8], 'µ-law': [1], 'A-law': [1] };
/** The format tag of WAVEFORMATEXTENSIBLE. The real format tag is then in the first two bytes of a GUID. */
const extensibleTag = 0xfffe;
/** The rest of that GUID, in hex. */
const subFormatTail = '000000001000800000aa00389b71';

/** What the `fmt ` chunk declares. */
type WaveFormat = Omit<PcmSamples, 'offset' | 'sampleFrames'> & { bitsPerSample: number };

interface Chunk {
  id: string;
  /** Offset of its content. */
  start: number;
  /** Bytes of its content. */
  size: number;
}

/**
 * Reads RIFF, RF64 (EBU Tech 3306) and BW64 (ITU-R BS.2088) files, whole or streamed.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readWav(reader: SourceReader): Promise<Structure> {
  if (reader.size < 12) throw new Finding('truncated', reader.size);
  const riffSize = (await reader.view(4, 4)).getUint32(0, true);
  const riffEnd = isUnknown(riffSize) ? reader.size : riffSize + 8;
  let format: WaveFormat | undefined;
  let data: Chunk | undefined;
  let streamed = false;
  let ds64DataSize: number | undefined;
  const tags: string[] = [];
  let tagBytes = 0;

  for (let position = 12, chunks = 1; position + 8 <= reader.size; chunks++) {
    if (chunks > maxChunks) throw new Finding('too_complex', chunks, maxChunks);
    const id = await reader.text(position, 4);
    if (!/^[\x20-\x7e]{4}$/.test(id)) {
      // Junk after the RIFF chunk is harmless. Junk inside it may be audio that a wrong size leaves out.
      if (!data || position + 8 <= riffEnd) throw new Finding('bad_header', 'junk between chunks');
      break;
    }
    const chunk = { id, start: position + 8, size: (await reader.view(position + 4, 4)).getUint32(0, true) };

    if (id === 'data') {
      if (data || !format) throw new Finding('bad_header', data ? 'two data chunks' : 'data before fmt');
      const sizeInDs64 = chunk.size === 0xffff_ffff ? ds64DataSize : undefined;
      streamed = !sizeInDs64 && isStreamed(chunk, riffSize, reader.size);
      if (sizeInDs64) chunk.size = sizeInDs64;
      if (streamed) chunk.size = reader.size - chunk.start;
      data = chunk;
    }
    const end = chunk.start + chunk.size;
    if (end > reader.size) throw new Finding('truncated', reader.size, end);
    if (id === 'ds64') ds64DataSize = Number((await reader.view(chunk.start, 16)).getBigUint64(8, true));
    if (id === 'fmt ') {
      if (format) throw new Finding('bad_header', 'two fmt chunks');
      format = await readFormat(reader, chunk);
    }
    // ID3 is read by music-metadata. It counts here, because the limit protects music-metadata as well.
    if (/^(LIST|bext|iXML|id3 |ID3 )$/.test(id)) {
      tagBytes += chunk.size;
      if (tagBytes > maxTagBytes) throw new Finding('too_complex', tagBytes, maxTagBytes);
      tags.push(...readTags(id, await reader.text(chunk.start, chunk.size)));
    }
    position = end + (end % 2);
  }

  if (!data || !format) {
    if (riffEnd > reader.size) throw new Finding('truncated', reader.size, riffEnd);
    throw new Finding('no_audio_track', format ? 'no data chunk' : 'no fmt chunk');
  }
  return describe(reader.size, format, data, streamed, tags);
}

/** Whether the size of the data chunk was never filled in. The audio then ends with the file. */
function isStreamed(data: Chunk, riffSize: number, fileSize: number): boolean {
  if (!isUnknown(data.size)) return false;
  // A size near 2^31 or 2^32 is real if the file is that large.
  if (data.size > 0) return data.start + data.size > fileSize;
  // A size of 0 means that there is no audio, unless the RIFF size is unfilled as well, or that of the header alone.
  return isUnknown(riffSize) || riffSize + 8 === data.start;
}

async function readFormat(reader: SourceReader, chunk: Chunk): Promise<WaveFormat> {
  if (chunk.size < 16) throw new Finding('bad_header', `fmt chunk of ${chunk.size} bytes`, 16);
  const view = await reader.view(chunk.start, Math.min(chunk.size, 40));
  let tag = view.getUint16(0, true);
  if (tag === extensibleTag) {
    if (view.byteLength < 40) throw new Finding('bad_header', 'extensible fmt chunk too short', 40);
    const guid = Buffer.from(view.buffer, view.byteOffset + 24, 16);
    if (guid.toString('hex', 2) !== subFormatTail)
      throw new Finding('unsupported_codec', guid.toString('hex'));
    tag = guid.readUInt16LE(0);
  }
  const encoding = encodings[tag];
  if (!encoding) throw new Finding('unsupported_codec', `WAVE format 0x${tag.toString(16).padStart(4, '0')}`);

  const channels = view.getUint16(2, true);
  const sampleRate = view.getUint32(4, true);
  const blockAlign = view.getUint16(12, true);
  const bitsPerSample = view.getUint16(14, true);
  const bytesPerSample = Math.ceil(bitsPerSample / 8);
  if (!sampleBytes[encoding].includes(bytesPerSample)) {
    throw new Finding('bad_header', `${encoding} of ${bitsPerSample} bits`);
  }
  if (channels === 0) throw new Finding('bad_header', 'no channels');
  if (blockAlign !== channels * bytesPerSample) {
    throw new Finding('bad_header', `block align ${blockAlign}`, channels * bytesPerSample);
  }
  return { encoding, bitsPerSample, bytesPerSample, channels, sampleRate };
}

function describe(
  fileSize: number,
  { bitsPerSample, ...format }: WaveFormat,
  data: Chunk,
  streamed: boolean,
  tags: string[],
): Structure {
  const { encoding, channels, sampleRate } = format;
  const sampleFrameBytes = format.bytesPerSample * channels;
  const sampleFrames = Math.floor(data.size / sampleFrameBytes);
  if (!streamed && data.size % sampleFrameBytes !== 0) {
    throw new Finding('bad_header', `${data.size} bytes of audio`, sampleFrameBytes);
  }
  const evidence: Evidence[] = [];
  if (encoding === 'µ-law' || encoding === 'A-law') evidence.push(headerEvidence('uncommon_codec', encoding));
  return {
    audio: {
      container: 'wav',
      codec: codecs[encoding],
      channels,
      sampleRate,
      bitsPerSample,
      durationSeconds: sampleFrames / sampleRate,
      size: fileSize,
    },
    evidence,
    tags,
    track: pcmTrack({ ...format, offset: data.start, sampleFrames }),
  };
}

/** `name=value` from LIST/INFO, the bext description (EBU Tech 3285) and the track names of iXML. */
function readTags(id: string, text: string): string[] {
  if (id === 'bext') return [`description=${untilNull(text.slice(0, 256))}`];
  if (id === 'iXML') return readTrackNames(text);
  if (id !== 'LIST' || !text.startsWith('INFO')) return [];
  const tags: string[] = [];
  for (let position = 4; position + 8 <= text.length; ) {
    const size = Buffer.from(text.slice(position + 4, position + 8), 'latin1').readUInt32LE();
    const value = text.slice(position + 8, position + 8 + size);
    tags.push(`${text.slice(position, position + 4)}=${untilNull(value)}`);
    position += 8 + size + (size % 2);
  }
  return tags;
}

/** Tags such as `channel 1=caller`. The number is the track's index in the interleaved file, as iXML gives it. */
function readTrackNames(xml: string): string[] {
  return [...xml.matchAll(/<TRACK>(.{0,2000}?)<\/TRACK>/gs)].slice(0, 8).flatMap(([, track]) => {
    const index = /<INTERLEAVE_INDEX>\s*(\d+)/.exec(track!) ?? /<CHANNEL_INDEX>\s*(\d+)/.exec(track!);
    const name = /<NAME>([^<]*)</.exec(track!);
    return index && name ? [`channel ${index[1]}=${name[1]}`] : [];
  });
}

function untilNull(text: string): string {
  return text.split('\0', 1)[0]!.trim();
}
