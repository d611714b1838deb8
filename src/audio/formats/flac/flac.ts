import { Finding } from '../../finding.ts';
import type { SourceReader } from '../../source-reader.ts';
import type { Structure } from '../format.ts';
import { type FlacStream, flacTrack } from './flac-decoder.ts';
import { crc16, maxFrameSize, readFrameHead } from './frame.ts';

const maxBlocks = 1000;
const maxTagBytes = 256 * 1024;
/** How many frame heads are tried: one in 8 MB is by chance, so the first or second is that of the last frame. */
const maxTries = 64;

const streamInfo = 0;
const vorbisComment = 4;

/**
 * Reads a FLAC file (RFC 9639): the metadata, and the last frame, which proves that the file is whole.
 *
 * @throws Finding for a file that cannot be judged further
 */
export async function readFlac(reader: SourceReader, start: number): Promise<Structure> {
  let position = start + 4;
  let info: DataView | undefined;
  let tagBytes = 0;
  for (let blocks = 1, last = false; !last; blocks++) {
    if (blocks > maxBlocks) throw new Finding('too_complex', blocks, maxBlocks);
    const head = (await reader.view(position, 4)).getUint32(0);
    const size = head & 0xff_ffff;
    const type = (head >>> 24) & 0x7f;
    last = head >>> 31 === 1;
    if (type === 127) throw new Finding('bad_header', 'metadata block of type 127');
    if (blocks === 1 && (type !== streamInfo || size !== 34))
      throw new Finding('bad_header', 'no STREAMINFO');
    if (blocks === 1) info = await reader.view(position + 4, size);
    if (type === vorbisComment) tagBytes += size;
    if (tagBytes > maxTagBytes) throw new Finding('too_complex', tagBytes, maxTagBytes);
    position += 4 + size;
    if (position > reader.size) throw new Finding('truncated', reader.size, position);
  }

  const packed = info!.getBigUint64(10);
  const sampleRate = Number(packed >> 44n);
  const stream: FlacStream = {
    offset: position,
    end: await endOfAudio(reader),
    head: Uint8Array.from([...Buffer.from('fLaC'), 0x80, 0, 0, 34, ...bytesOf(info!)]),
    channels: Number((packed >> 41n) & 7n) + 1,
    sampleRate,
    frames: Number(packed & 0xf_ffff_ffffn),
  };
  if (stream.offset >= stream.end) {
    throw stream.frames > 0
      ? new Finding('truncated', reader.size, stream.offset)
      : new Finding('empty_file', 0);
  }
  const frames = await countFrames(reader, stream);
  return {
    audio: {
      container: 'flac',
      codec: 'FLAC',
      channels: stream.channels,
      sampleRate,
      bitsPerSample: Number((packed >> 36n) & 31n) + 1,
      durationSeconds: frames / sampleRate,
      size: reader.size,
    },
    evidence: [],
    tags: [],
    track: flacTrack(stream),
  };
}

/** Some writers hang an ID3v1 tag of 128 bytes behind the audio. */
async function endOfAudio(reader: SourceReader): Promise<number> {
  const tag = reader.size >= 128 ? await reader.text(reader.size - 128, 3) : '';
  return tag === 'TAG' ? reader.size - 128 : reader.size;
}

/**
 * Sample frames up to the end of the last frame: the one whose checksum comes out right at the file's end.
 *
 * @throws Finding `truncated` where no frame ends there, or where it is not the last that was promised
 */
async function countFrames(reader: SourceReader, stream: FlacStream): Promise<number> {
  const first = readFrameHead(await reader.read(stream.offset, Math.min(16, stream.end - stream.offset)), 0);
  if (!first) throw new Finding('corrupt_audio', 'no frame behind the metadata');
  if (first.channels !== stream.channels)
    throw new Finding('channel_count_mismatch', first.channels, stream.channels);
  if (first.sampleRate !== undefined && first.sampleRate !== stream.sampleRate) {
    throw new Finding('bad_header', `frames of ${first.sampleRate} Hz`, stream.sampleRate);
  }

  for (const reach of [16 * 1024, maxFrameSize]) {
    const start = Math.max(stream.offset, stream.end - reach);
    const tail = await reader.read(start, stream.end - start);
    for (let at = tail.length - 4, tries = 0; at >= 0; at--) {
      const head = readFrameHead(tail, at);
      if (!head) continue;
      if (++tries > maxTries) break;
      if (crc16(tail, at, tail.length) !== 0) continue;
      const before = head.variable ? head.number : head.number * first.blockSize;
      const frames = before + head.blockSize;
      if (stream.frames > 0 && frames < stream.frames) throw new Finding('truncated', frames, stream.frames);
      if (stream.frames > 0 && frames > stream.frames) throw new Finding('bad_header', frames, stream.frames);
      return frames;
    }
    if (start === stream.offset) break;
  }
  throw new Finding('truncated', 'the last frame is not whole');
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
