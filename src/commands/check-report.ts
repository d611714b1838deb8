import type { Report } from '../audio/report.ts';

/** The result for one file. `error` says why it could not be read. */
export type Checked = { path: string; error?: string } & Pick<
  Report,
  'verdict' | 'codes' | 'audio' | 'evidence' | 'repairs'
>;

export function summaryOf(checked: Checked[]) {
  const count = (verdict: Checked['verdict']) => checked.filter((file) => file.verdict === verdict).length;
  return {
    total: checked.length,
    pass: count('pass'),
    fail: count('fail'),
    inconclusive: count('inconclusive'),
  };
}

/** One line for each file, followed by its repairs, and a summary. */
export function formatTable(checked: Checked[]): string {
  const width = Math.min(60, Math.max(4, ...checked.map(({ path }) => path.length)));
  const lines = checked.flatMap(({ path, verdict, codes, audio, repairs, error }) => [
    `${verdict.padEnd(13)}${path.padEnd(width)}  ${describe(audio).padEnd(28)}  ${error ?? codes.join(', ')}`,
    ...Object.values(repairs).map((repair) => `${' '.repeat(13)}→ ${repair}`),
  ]);
  const { total, pass, fail, inconclusive } = summaryOf(checked);
  const summary = `${total} checked: ${pass} pass, ${fail} fail, ${inconclusive} inconclusive`;
  return [...lines, '', summary].join('\n');
}

function describe({ container, codec, channels, sampleRate, durationSeconds }: Report['audio']): string {
  return [
    container,
    codec,
    channels && `${channels} ch`,
    sampleRate && `${sampleRate / 1000} kHz`,
    durationSeconds !== undefined && `${durationSeconds.toFixed(1)} s`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** A JUnit report, with a failure for each file that does not pass. */
export function formatJunit(checked: Checked[]): string {
  const { total, pass } = summaryOf(checked);
  const cases = checked.map(({ path, verdict, codes, repairs, error }) => {
    const attributes = `classname="playhead.check" name="${escapeXml(path)}"`;
    if (verdict === 'pass') return `  <testcase ${attributes}/>`;
    const message = escapeXml(`${verdict}: ${error ?? codes.join(', ')}`);
    const repair = escapeXml(Object.values(repairs).join(' '));
    return `  <testcase ${attributes}><failure message="${message}">${repair}</failure></testcase>`;
  });
  const head = `<testsuite name="playhead check" tests="${total}" failures="${total - pass}">`;
  return ['<?xml version="1.0" encoding="UTF-8"?>', head, ...cases, '</testsuite>', ''].join('\n');
}

/** Replaces control characters, because XML 1.0 cannot represent most of them. */
function escapeXml(value: string): string {
  return value
    .replace(/\p{Cc}/gu, '�')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
