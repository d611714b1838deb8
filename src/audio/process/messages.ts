import type { ProblemCode } from '../../errors.ts';
import type { Declared, Report } from '../report.ts';

/** Parent to child: check a recording, named by its path or its size in bytes; and the bytes of a read. */
export type ToChild =
  | { kind: 'check'; declared: Declared; path: string }
  | { kind: 'check'; declared: Declared; size: number }
  | { kind: 'bytes'; id: number; bytes: Uint8Array };

/** Child to parent: the check has started, it needs bytes, how much audio is done, and its result. */
export type ToParent =
  | { kind: 'started' }
  | { kind: 'read'; id: number; offset: number; length: number }
  | { kind: 'progress'; seconds: number }
  | { kind: 'report'; report: Report }
  | { kind: 'problem'; code: ProblemCode; message: string }
  | { kind: 'error'; cause: unknown };
