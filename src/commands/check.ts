import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { CheckPool } from '../audio/process/pool.ts';
import { profiles } from '../audio/profiles.ts';
import type { Declared } from '../audio/report.ts';
import { type Checked, formatJunit, formatTable, summaryOf } from './check-report.ts';
import { listTargets, type Target } from './check-targets.ts';
import { type Command, exitCode, flag, option, print, UsageError } from './command.ts';
import { declaredOptions, readDeclared } from './declared.ts';

export const check: Command = {
  maxArgs: Number.POSITIVE_INFINITY,
  options: {
    ...declaredOptions,
    json: flag('Print one JSON object with all evidence.'),
    junit: option('FILE', 'Write a JUnit report to FILE as well.'),
    profiles: flag('List the profiles of phone systems.'),
    explain: option('CODE', 'Explain a code and how to repair the recording.'),
  },

  async run({ args, options, config }) {
    if (options.profiles) return listProfiles();
    if (options.explain) return explain(options.explain);
    if (args.length === 0) throw new UsageError('Name at least one file, folder or URL to check.');
    const declared = readDeclared(options);
    const targets = await listTargets(args, config);
    const checked = await checkAll(targets, declared, process.stderr.isTTY && !options.json);

    const summary = summaryOf(checked);
    print(options.json ? JSON.stringify({ files: checked, summary }, null, 2) : formatTable(checked));
    if (options.junit) await writeJunit(options.junit, checked);
    if (summary.fail > 0) return exitCode.failed;
    return summary.inconclusive > 0 ? exitCode.inconclusive : exitCode.done;
  },
};

/** Checks as many targets at a time as there are cores. The result is in the order of the targets. */
async function checkAll(targets: Target[], declared: Declared, showProgress: boolean): Promise<Checked[]> {
  const workers = availableParallelism();
  const checkPool = new CheckPool({ workers });
  const { signal } = new AbortController();
  const checked: Checked[] = [];
  let next = 0;
  let done = 0;
  const work = async () => {
    for (let index = next++; index < targets.length; index = next++) {
      const target = targets[index]!;
      const report = await target.check(checkPool, declared, signal).catch(unreadable);
      checked[index] = { path: target.path, ...report };
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

/** A recording that cannot be read fails, and the others are still checked. */
function unreadable({ message, cause }: Error): Omit<Checked, 'path'> {
  const reason = cause instanceof Error && cause.message ? ` (${cause.message})` : '';
  const error = `${message}${reason}`;
  return { verdict: 'fail', codes: [], audio: { size: 0 }, evidence: [], repairs: {}, error };
}

async function writeJunit(file: string, checked: Checked[]): Promise<void> {
  await writeFile(file, formatJunit(checked)).catch((cause: Error) => {
    throw new UsageError(`--junit names a file that cannot be written: ${cause.message}.`);
  });
}

function listProfiles(): number {
  for (const [name, { title, numbering, recipe }] of Object.entries(profiles)) {
    print(`${name}\n  ${title}\n  ${numbering}\n  ${recipe}\n`);
  }
  return exitCode.done;
}

/** Prints the section of docs/problems.md on one code. */
function explain(code: string): number {
  const page = readFileSync(new URL('../../docs/problems.md', import.meta.url), 'utf8');
  const section = page.split(/^(?=#{2,3} )/m).find((text) => text.startsWith(`### \`${code}\``));
  if (!section) throw new UsageError(`--explain ${code} is not a code: docs/problems.md lists all codes.`);
  print(section.trim());
  return exitCode.done;
}
