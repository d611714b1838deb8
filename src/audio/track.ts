import type { Role } from '../unions.ts';
import type { Code } from './codes.ts';
import type { AudioFacts, Evidence } from './report.ts';

/** Samples as they lie in a WAV file: interleaved, little-endian, each channel in whole bytes. */
export interface PcmTrack {
  kind: 'pcm';
  encoding: 'integer' | 'float' | 'µ-law' | 'A-law';
  bytesPerSample: number;
  channels: number;
  sampleRate: number;
  offset: number;
  /** Sample frames: one sample for each channel. */
  frames: number;
}

/** FLAC frames, one behind the other, from `offset` to `end`. */
export interface FlacTrack {
  kind: 'flac';
  offset: number;
  end: number;
  /** `fLaC` and STREAMINFO: what a decoder must be given before a frame. */
  head: Uint8Array;
  channels: number;
  sampleRate: number;
  /** 0 where the encoder did not know. */
  frames: number;
}

/** Access units of AAC or ALAC, in the order of playing. */
export interface UnitTrack {
  kind: 'units';
  /** The sample entry of `stsd`, whole, that a decoder must be given before a unit. */
  entry: Uint8Array;
  sampleRate: number;
  framesPerUnit: number;
  /** Sample frames at the start that the encoder put there to warm up; nobody hears them. */
  priming: number;
  offsets: Float64Array;
  sizes: Uint32Array;
}

export type Track = PcmTrack | FlacTrack | UnitTrack;

/** What the tags of a file say of its channels, and which tag said so. */
export interface Tags {
  channelMap?: [Role, Role];
  from?: string;
}

/** What the reader of one container finds. */
export interface Structure {
  audio: AudioFacts;
  evidence: Evidence[];
  /** `name=value` of every tag that could name the channel map. */
  tags: string[];
  /** Where the name of a box lies whose tables no second reader needs to read. */
  tables?: number;
  /** Absent where the codec is accepted and cannot be decoded here. */
  track?: Track;
}

/** Something in the file's bytes that ends the check, because nothing behind it can be judged. */
export class Finding extends Error {
  readonly evidence: Evidence;

  constructor(code: Code, value: Evidence['value'], threshold?: number) {
    super(code);
    this.name = 'Finding';
    this.evidence = header(code, value, threshold);
  }
}

/** Evidence that was read from the file's own bytes, and so is certain. */
export function header(code: Code, value: Evidence['value'], threshold?: number): Evidence {
  return { code, source: 'header', value, ...(threshold === undefined ? {} : { threshold }), confidence: 1 };
}
