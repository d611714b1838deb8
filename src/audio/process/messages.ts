import type { Declared, Report } from '../report.ts';

/** Parent to child: a recording of `size` bytes to check, or the bytes that the child requested. */
export type ToChild =
  | { kind: 'check'; declared: Declared; size: number }
  | { kind: 'bytes'; id: number; bytes: Uint8Array };

/** Child to parent: the start of the check, requests for bytes, the seconds of audio checked so far, the result. */
export type ToParent =
  | { kind: 'started' }
  | { kind: 'read'; id: number; offset: number; length: number }
  | { kind: 'progress'; seconds: number }
  | { kind: 'report'; report: Report }
  | { kind: 'error'; cause: unknown };
