import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { CheckPool } from '../src/audio/process/pool.ts';
import type { Origin } from '../src/origins/origin.ts';
import { type Mutant, mutantsOf } from './audio/mutants.ts';

const folder = new URL('../fixtures/', import.meta.url);
const declared = { channels: ['caller', 'recipient'] } as const;
/** These files do not declare their length, so a cut between two fragments or sample frames is no fault. */
const openEnded = /streamed|fragmented/;

export interface Outcome {
  judged: number;
  verdicts: Record<string, number>;
  /** What must not happen: an error, or a pass for incomplete audio. */
  wrong: string[];
  slowestMs: number;
  /** After the first tenth of the run, and at its end. */
  memoryBytes: [early: number, late: number];
}

/** Checks mutants of every fixture, two at a time. */
export async function fuzz(
  count: number,
  seed: number,
  progress: (judged: number) => void = () => {},
): Promise<Outcome> {
  const names = readdirSync(folder).filter((name) => /\.(wav|flac|mp4|m4a)$/.test(name));
  const files = Object.fromEntries(names.map((name) => [name, readFileSync(new URL(name, folder))]));
  const mutants = mutantsOf(files, count, seed);
  const checkPool = new CheckPool({ workers: 2 });
  const outcome: Outcome = { judged: 0, verdicts: {}, wrong: [], slowestMs: 0, memoryBytes: [0, 0] };

  const judge = async () => {
    for await (const mutant of mutants) {
      const startedMs = performance.now();
      const wrong = await judgeMutant(checkPool, mutant, outcome.verdicts);
      outcome.slowestMs = Math.max(outcome.slowestMs, performance.now() - startedMs);
      if (wrong) outcome.wrong.push(`${mutant.name}: ${wrong}`);
      outcome.judged++;
      outcome.memoryBytes[outcome.judged <= count / 10 ? 0 : 1] = process.memoryUsage.rss();
      progress(outcome.judged);
    }
  };
  await Promise.all([judge(), judge()]);
  await checkPool.close();
  return outcome;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Checks one mutant and counts its verdict. Returns what is wrong with the result, if anything. */
async function judgeMutant(
  checkPool: CheckPool,
  mutant: Mutant,
  verdicts: Record<string, number>,
): Promise<string | undefined> {
  const { name, bytes, sampleFrames, cut } = mutant;
  const representation = { size: bytes.length, etag: '"1"', lastModified: new Date(0) };
  const origin: Origin = {
    stat: async () => representation,
    read: async (_key, { first, last }) => once(bytes.subarray(first, last + 1)),
  };
  try {
    const report = await checkPool.check({ origin, key: 'call', representation }, declared);
    verdicts[report.verdict] = (verdicts[report.verdict] ?? 0) + 1;
    if (report.verdict !== 'pass' || openEnded.test(name)) return undefined;
    if (cut) return 'passed although audio was cut off';
    const { durationSeconds = 0, sampleRate = 0 } = report.audio;
    const checked = Math.round(durationSeconds * sampleRate);
    if (checked >= sampleFrames) return undefined;
    return `passed with ${checked} of ${sampleFrames} sample frames`;
  } catch (error) {
    return String((error as Error).cause ?? error);
  }
}

const maxMinutes = 30;
/** Garbage of this process that is not yet collected. A leak of every tenth file would exceed it. */
const maxGrowthBytes = 256 * 2 ** 20;

/** `npm run fuzz -- --count N --seed N`. The same seed gives the same mutants. */
async function main(): Promise<void> {
  const options = {
    count: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
  } as const;
  const { values } = parseArgs({ options });
  const count = Number(values.count);
  const giveUp = () => {
    console.error(`Not finished after ${maxMinutes} minutes.`);
    process.exit(1);
  };
  setTimeout(giveUp, maxMinutes * 60_000).unref();

  const { memoryBytes, wrong, ...counts } = await fuzz(count, Number(values.seed), (judged) => {
    if (judged % 1000 === 0) console.error(`${judged} of ${count}`);
  });
  const growthBytes = memoryBytes[1] - memoryBytes[0];
  for (const line of wrong) console.error(line);
  console.log(
    JSON.stringify({ ...counts, wrong: wrong.length, growthMB: Math.round(growthBytes / 2 ** 20) }),
  );
  process.exitCode = wrong.length > 0 || growthBytes > maxGrowthBytes ? 1 : 0;
}

if (import.meta.main) await main();
