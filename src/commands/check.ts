import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { CheckPool } from '../audio/process/pool.ts';
import { profiles } from '../audio/profiles.ts';
import type { Declared, Report } from '../audio/report.ts';
import { listTargets, type Target } from './check-targets.ts';
import {
  type Command,
  declaredOptions,
  exit,
  flag,
  print,
  readDeclared,
  text,
  UsageError,
} from './command.ts';

/** What is printed of one file. */
export type Checked = { path: string; error?: string } & Pick<
  Report,
  'verdict' | 'codes' | 'audio' | 'evidence' | 'repairs'
>;

export const check: Command = {
  words: Number.POSITIVE_INFINITY,
  options: {
    ...declaredOptions,
    json: flag('Prints one JSON object with all evidence.'),
    junit: text('FILE', 'Writes a JUnit report, too.'),
    profiles: flag('Lists the phone systems that are known.'),
    explain: text('CODE', 'Tells what a code means and how to repair it.'),
  },

  async run({ words, options, config }) {
    if (options.profiles) return listProfiles();
    if (options.explain) return explain(options.explain);
    if (words.length === 0) throw new UsageError('Name at least one file, folder or URL to check.');
    const declared = readDeclared(options);
    const targets = await listTargets(words, config);
    const checked = await checkAll(targets, declared, process.stderr.isTTY && !options.json);

    if (options.json) print(JSON.stringify({ files: checked, summary: summaryOf(checked) }, null, 2));
    else print(table(checked));
    if (options.junit) {
      await writeFile(options.junit, junit(checked)).catch((cause: Error) => {
        throw new UsageError(`--junit names a file that cannot be written: ${cause.message}.`);
      });
    }
    const { fail, inconclusive } = summaryOf(checked);
    return fail > 0 ? exit.failed : inconclusive > 0 ? exit.inconclusive : exit.done;
  },
};

/** In the order of the targets; as many at a time as there are cores. */
async function checkAll(targets: Target[], declared: Declared, showProgress: boolean): Promise<Checked[]> {
  const workers = availableParallelism();
  const checkPool = new CheckPool({ workers });
  const checked: Checked[] = [];
  let next = 0;
  let done = 0;
  const signal = new AbortController().signal;
  const work = async () => {
    for (let index = next++; index < targets.length; index = next++) {
      const target = targets[index]!;
      checked[index] = {
        path: target.path,
        ...(await target.check(checkPool, declared, signal).catch(unreadable)),
      };
      done++;
      if (showProgress) process.stderr.write(`\r\x1b[K${done}/${targets.length} ${target.path.slice(-60)}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: workers }, work));
    return checked;
  } finally {
    if (showProgress) process.stderr.write('\r\x1b[K');
    await checkPool.close();
  }
}

/** One recording that cannot be read does not keep the others from being checked. */
function unreadable(error: Error): Omit<Checked, 'path'> {
  const reason = error.cause instanceof Error && error.cause.message ? ` (${error.cause.message})` : '';
  const said = `${error.message}${reason}`;
  return { verdict: 'fail', codes: [], audio: { size: 0 }, evidence: [], repairs: {}, error: said };
}

function summaryOf(checked: Checked[]) {
  const count = (verdict: Checked['verdict']) => checked.filter((file) => file.verdict === verdict).length;
  return {
    total: checked.length,
    pass: count('pass'),
    fail: count('fail'),
    inconclusive: count('inconclusive'),
  };
}

function table(checked: Checked[]): string {
  const width = Math.min(60, Math.max(4, ...checked.map(({ path }) => path.length)));
  const lines = checked.flatMap(({ path, verdict, codes, audio, repairs, error }) => [
    `${verdict.padEnd(13)}${path.padEnd(width)}  ${factsOf(audio).padEnd(28)}  ${error ?? codes.join(', ')}`,
    ...Object.values(repairs).map((repair) => `${' '.repeat(13)}→ ${repair}`),
  ]);
  const { total, pass, fail, inconclusive } = summaryOf(checked);
  return [...lines, '', `${total} checked: ${pass} pass, ${fail} fail, ${inconclusive} inconclusive`].join(
    '\n',
  );
}

function factsOf({ container, codec, channels, sampleRate, durationSeconds }: Report['audio']): string {
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

/** As continuous integration servers read it: a failure for each file that did not pass. */
function junit(checked: Checked[]): string {
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

/** XML 1.0 has no way to write most control characters. */
function escapeXml(value: string): string {
  return value
    .replace(/\p{Cc}/gu, '�')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function listProfiles(): number {
  for (const [name, { title, numbering, recipe }] of Object.entries(profiles)) {
    print(`${name}\n  ${title}\n  ${numbering}\n  ${recipe}\n`);
  }
  return exit.done;
}

/** The section of docs/problems.md on one code. */
function explain(code: string): number {
  const page = readFileSync(new URL('../../docs/problems.md', import.meta.url), 'utf8');
  const section = page.split(/^(?=#{2,3} )/m).find((text) => text.startsWith(`### \`${code}\``));
  if (!section) throw new UsageError(`"${code}" is no code; docs/problems.md lists them all.`);
  print(section.trim());
  return exit.done;
}
