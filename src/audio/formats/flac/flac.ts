import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { Structure } from '../format.ts';
import { type FlacStream, flacTrack } from './flac-decoder.ts';
import { crc16, maxFrameBytes, maxHeaderBytes, readFrameHeader } from './frame.ts';

const maxBlocks = 1000;
const maxTagBytes = 256 * 1024;
/**
 * How many frame headers to try, from the end of the audio. Bytes look like a header by chance only once in 8 MB, so
 * the header of the last FLAC frame is nearly always the first or the second.
 */
const maxTries = 64;

const streamInfo = 0;
const vorbisComment = 4;

/**
 * Reads a FLAC file (RFC 9639): its metadata, and its last FLAC frame, which proves that the file is complete.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readFlac(reader: SourceReader, start: number): Promise<Structure> {
  let position = start + 4;
  let info: DataView | undefined;
  let tagBytes = 0;
  for (let blocks = 1, last = false; !last; blocks++) {
    if (blocks > maxBlocks) throw new Finding('too_complex', blocks, maxBlocks);
    const header = (await reader.view(position, 4)).getUint32(0);
    const size = header & 0xff_ffff;
    const type = (header >>> 24) & 0x7f;
    last = header >>> 31 === 1;
    if (type === 127) throw new Finding('bad_header', 'metadata block of type 127');
    if (blocks === 1) {
      if (type !== streamInfo || size !== 34) throw new Finding('bad_header', 'no STREAMINFO');
      info = await reader.view(position + 4, size);
    }
    if (type === vorbisComment) tagBytes += size;
    if (tagBytes > maxTagBytes) throw new Finding('too_complex', tagBytes, maxTagBytes);
    position += 4 + size;
    if (position > reader.size) throw new Finding('truncated', reader.size, position);
  }

  // Sample rate (20 bits), channels - 1 (3), bits per sample - 1 (5), sample frames (36).
  const packed = info!.getBigUint64(10);
  const stream: FlacStream = {
    offset: position,
    end: await endOfAudio(reader),
    header: Uint8Array.from([...Buffer.from('fLaC'), 0x80, 0, 0, 34, ...bytesOf(info!)]),
    channels: Number((packed >> 41n) & 7n) + 1,
    sampleRate: Number(packed >> 44n),
  };
  const declaredSampleFrames = Number(packed & 0xf_ffff_ffffn);
  if (stream.offset >= stream.end) {
    throw declaredSampleFrames > 0
      ? new Finding('truncated', reader.size, stream.offset)
      : new Finding('empty_file', 0);
  }
  const sampleFrames = await countSampleFrames(reader, stream);
  // An encoder that streams declares 0.
  if (declaredSampleFrames > 0 && sampleFrames !== declaredSampleFrames) {
    const code = sampleFrames < declaredSampleFrames ? 'truncated' : 'bad_header';
    throw new Finding(code, sampleFrames, declaredSampleFrames);
  }
  return {
    audio: {
      container: 'flac',
      codec: 'FLAC',
      channels: stream.channels,
      sampleRate: stream.sampleRate,
      bitsPerSample: Number((packed >> 36n) & 31n) + 1,
      durationSeconds: sampleFrames / stream.sampleRate,
      size: reader.size,
    },
    evidence: [],
    tags: [],
    track: flacTrack(stream),
  };
}

/** Where the audio ends. Some writers append an ID3v1 tag of 128 bytes. */
async function endOfAudio(reader: SourceReader): Promise<number> {
  const tag = reader.size >= 128 ? await reader.text(reader.size - 128, 3) : '';
  return tag === 'TAG' ? reader.size - 128 : reader.size;
}

/**
 * Counts the sample frames up to the end of the last FLAC frame. The last FLAC frame is found backwards from the end of
 * the audio: the bytes from its header to the end have the checksum 0.
 *
 * @throws Finding `truncated` if no FLAC frame ends with the audio
 */
async function countSampleFrames(reader: SourceReader, stream: FlacStream): Promise<number> {
  const { offset, end, channels, sampleRate } = stream;
  const first = readFrameHeader(await reader.read(offset, Math.min(maxHeaderBytes, end - offset)), 0);
  if (!first) throw new Finding('corrupt_audio', 'no frame behind the metadata');
  if (first.channels !== channels) throw new Finding('channel_count_mismatch', first.channels, channels);
  if (first.sampleRate !== undefined && first.sampleRate !== sampleRate) {
    throw new Finding('bad_header', `frames of ${first.sampleRate} Hz`, sampleRate);
  }

  // Most FLAC frames fit into 16 KiB. More is read only if the last FLAC frame is not found there.
  for (const tailBytes of [16 * 1024, maxFrameBytes]) {
    const start = Math.max(offset, end - tailBytes);
    const tail = await reader.read(start, end - start);
    for (let at = tail.length - 4, tries = 0; at >= 0; at--) {
      const header = readFrameHeader(tail, at);
      if (!header) continue;
      if (++tries > maxTries) break;
      if (crc16(tail, at, tail.length) !== 0) continue;
      const sampleFramesBefore = header.variable ? header.number : header.number * first.sampleFrames;
      return sampleFramesBefore + header.sampleFrames;
    }
    if (start === offset) break;
  }
  throw new Finding('truncated', 'the last frame is not whole');
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
