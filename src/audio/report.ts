import type { Container, Direction, Role, Verdict } from '../unions.ts';
import type { Code } from './codes.ts';

/** One thing that the check found, with its source and the limit that it was compared with. */
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

/** What the file is, read from its content. A member is absent if it could not be read. */
export interface AudioFacts {
  container?: Container;
  codec?: string;
  channels?: number;
  /** Hz. */
  sampleRate?: number;
  bitsPerSample?: number;
  durationSeconds?: number;
  /** Bytes of the whole file. */
  size: number;
}

/** What the sender declares of a recording. */
export interface Declared {
  channels?: readonly [Role, Role];
  profile?: string;
  direction?: Direction;
  /** Whose leg was recorded, for profiles whose channel numbers follow the recorded leg. */
  leg?: Role;
  /** A name such as `call.wav`. It is compared with the content, and the content decides. */
  fileName?: string;
}

/** The result for one recording: the same object from the CLI, `POST /v1/check`, ingest and the console. */
export interface Report {
  verdict: Verdict;
  /** Failing and warning codes, then the code of what decided the roles. */
  codes: Code[];
  audio: AudioFacts;
  evidence: Evidence[];
  /** How to repair the recording, for each code that rejects it. */
  repairs: Partial<Record<Code, string>>;
}
