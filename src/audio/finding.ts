import type { Code } from './codes.ts';
import type { Evidence } from './report.ts';

/** Something in the file's bytes that ends the check, because nothing behind it can be judged. */
export class Finding extends Error {
  readonly evidence: Evidence;

  constructor(code: Code, value: Evidence['value'], threshold?: number) {
    super(code);
    this.name = 'Finding';
    this.evidence = headerEvidence(code, value, threshold);
  }
}

/** Evidence that was read from the file's own bytes, and so is certain. */
export function headerEvidence(code: Code, value: Evidence['value'], threshold?: number): Evidence {
  return { code, source: 'header', value, ...(threshold === undefined ? {} : { threshold }), confidence: 1 };
}
