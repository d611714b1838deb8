import { codes } from './codes.ts';
import type { AudioFacts, Evidence, Report } from './report.ts';
import type { RoleJudgement } from './sound/roles.ts';

export function fails({ code }: Evidence): boolean {
  return codes[code].severity === 'fail';
}

/**
 * Makes the report: `fail` for any failing code, otherwise the verdict on the roles.
 *
 * @param roles absent if the check ended before them
 */
export function conclude(audio: AudioFacts, found: Evidence[], roles?: RoleJudgement): Report {
  const reported = [...new Set([...found.map(({ code }) => code), ...(roles ? [roles.code] : [])])];
  const rejecting = reported.filter((code) => ['fail', 'inconclusive'].includes(codes[code].severity));
  return {
    verdict: found.some(fails) || !roles ? 'fail' : roles.verdict,
    codes: reported,
    audio,
    evidence: [...found, ...(roles?.evidence ?? [])],
    repairs: Object.fromEntries(rejecting.map((code) => [code, (codes[code] as { repair?: string }).repair])),
  };
}
