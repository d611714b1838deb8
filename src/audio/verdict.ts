import { codes } from './codes.ts';
import type { AudioFacts, Evidence, Report } from './report.ts';
import type { RoleJudgement } from './sound/roles.ts';

export function fails({ code }: Evidence): boolean {
  return codes[code].severity === 'fail';
}

/**
 * The report on what was found: fail for any failing code, otherwise what is known of the roles.
 *
 * @param roles absent where the check ended before them
 */
export function conclude(audio: AudioFacts, found: Evidence[], roles?: RoleJudgement): Report {
  const told = [...new Set([...found.map(({ code }) => code), ...(roles ? [roles.code] : [])])];
  const refusing = told.filter((code) => ['fail', 'inconclusive'].includes(codes[code].severity));
  return {
    verdict: found.some(fails) || !roles ? 'fail' : roles.verdict,
    codes: told,
    audio,
    evidence: [...found, ...(roles?.evidence ?? [])],
    repairs: Object.fromEntries(refusing.map((code) => [code, (codes[code] as { repair?: string }).repair])),
  };
}
