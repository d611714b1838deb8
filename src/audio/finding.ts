import type { Code } from './codes.ts';
import type { Evidence } from './report.ts';

/** Evidence in the file's bytes that ends the check, because nothing after it can be judged. */
export class Finding extends Error {
  readonly evidence: Evidence;

  constructor(code: Code, value: Evidence['value'], threshold?: number) {
    super(code);
    this.name = 'Finding';
    this.evidence = headerEvidence(code, value, threshold);
  }
}

/** Evidence read from the file's own bytes. It is certain. */
export function headerEvidence(code: Code, value: Evidence['value'], threshold?: number): Evidence {
  return { code, source: 'header', value, ...(threshold === undefined ? {} : { threshold }), confidence: 1 };
}
