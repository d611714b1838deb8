import type { Requirement } from './requirement.ts';

export interface Diagnosis {
  requirements: Requirement[];
  /** Whether the recording was received and no requirement is unmet. */
  met: boolean;
}

const marks = new Map<Requirement['met'], string>([
  [true, 'met'],
  [false, 'NOT MET'],
  ['unknown', 'unknown'],
]);

/** One line for each requirement, followed by the repair if it is not met. */
export function formatDiagnosis({ requirements, met }: Diagnosis): string {
  const lines = requirements.flatMap((requirement) => {
    const { title, seen, repair } = requirement;
    const line = `${marks.get(requirement.met)!.padEnd(9)}${title} (${seen})`;
    return repair === undefined ? [line] : [line, `${' '.repeat(9)}→ ${repair}`];
  });
  const unmet = requirements.filter((requirement) => requirement.met === false).length;
  return [...lines, '', met ? 'Every tested requirement is met.' : `${unmet} not met.`].join('\n');
}
