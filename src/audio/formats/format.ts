import type { Container } from '../../unions.ts';
import type { AudioFacts, Evidence } from '../report.ts';
import type { SourceReader } from '../source-reader.ts';

/** One container format: how it is recognised and what reads it. formats.ts lists them all. */
export interface Format {
  /** Matches the start of the file, read as one character per byte. */
  signature: RegExp;
  /** Whether an ID3v2 tag may precede the signature. */
  afterId3?: true;
  /** Endings of file names, in lower case. */
  endings: readonly string[];
  /** Whether music-metadata reports the right channels and sample rate for this format. */
  comparable: boolean;
  /**
   * @param start offset of the signature in bytes
   * @throws Finding for a file that cannot be judged further
   */
  read(reader: SourceReader, start: number): Promise<Structure>;
}

/** What the reader of one container finds. */
export interface Structure {
  audio: AudioFacts & { container: Container };
  evidence: Evidence[];
  /** `name=value` of every tag that could name the channel map. */
  tags: string[];
  /** Offset of the type of the box of sample tables. music-metadata need not read them: an hour's take 600 KB. */
  hiddenBoxTypeOffset?: number;
  /** Absent if the codec is accepted but Playhead has no decoder for it. */
  track?: Track;
}

/** The audio of a file and its decoder. The reader of the container chooses the decoder of the codec. */
export interface Track {
  /** Hz, of the decoded samples. */
  sampleRate: number;
  /**
   * Decodes every sample of a track of two channels, about half a minute at a time.
   *
   * @returns undefined if this machine lacks the decoder
   * @throws Finding, from the iteration, if part of the audio is missing or cannot be decoded
   */
  decode(reader: SourceReader): Promise<AsyncGenerator<DecodedChunk> | undefined>;
}

/** Samples of both channels, -1 to 1. The arrays are reused for the next chunk. */
export type DecodedChunk = [left: Float32Array, right: Float32Array];
