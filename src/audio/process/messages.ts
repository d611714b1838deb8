import type { ProblemCode } from '../../errors.ts';
import type { Declared, Report } from '../report.ts';

/**
 * Parent to child: a recording to check, or the bytes that the child requested. The child reads a `path` by itself. If
 * it gets the `size` in bytes, it requests every read from its parent.
 */
export type ToChild =
  | { kind: 'check'; declared: Declared; path: string }
  | { kind: 'check'; declared: Declared; size: number }
  | { kind: 'bytes'; id: number; bytes: Uint8Array };

/** Child to parent: the start of the check, requests for bytes, the seconds of audio checked so far, the result. */
export type ToParent =
  | { kind: 'started' }
  | { kind: 'read'; id: number; offset: number; length: number }
  | { kind: 'progress'; seconds: number }
  | { kind: 'report'; report: Report }
  | { kind: 'problem'; code: ProblemCode; message: string }
  | { kind: 'error'; cause: unknown };
