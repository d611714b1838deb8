import type { Container, Direction, Role, Verdict } from '../unions.ts';
import type { Code } from './codes.ts';

/** One thing that was found, where it was found, and against which limit it was held. */
export interface Evidence {
  code: Code;
  source: 'header' | 'tag' | 'declared' | 'profile' | 'signal';
  /** 1 or 2, as HubSpot counts channels. */
  channel?: number;
  value: string | number | boolean;
  threshold?: number;
  atSeconds?: number;
  /** 0 to 1. */
  confidence: number;
}

/** What the file is, read from its content. A member is absent where it could not be known. */
export interface AudioFacts {
  container?: Container;
  codec?: string;
  channels?: number;
  sampleRate?: number;
  bitsPerSample?: number;
  durationSeconds?: number;
  /** Bytes of the whole file. */
  size: number;
}

/** What the person who offers a recording says of it. */
export interface Declared {
  channels?: readonly [Role, Role];
  profile?: string;
  direction?: Direction;
  /** For profiles whose numbering follows the recorded leg: whose leg was recorded. */
  leg?: Role;
  /** A name such as `call.wav`, compared with the content and never believed. */
  fileName?: string;
}

/** The verdict on one recording: the same object from the CLI, `POST /v1/check`, ingest and the console. */
export interface Report {
  verdict: Verdict;
  /** Failing and warning codes, then the code of what proved the roles. */
  codes: Code[];
  audio: AudioFacts;
  evidence: Evidence[];
  /** For each code that refuses, one sentence that says how to repair the recording. */
  repairs: Partial<Record<Code, string>>;
}
