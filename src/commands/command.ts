import type { ParseArgsOptionsConfig } from 'node:util';
import type { Claims } from '../audio/report.ts';
import type { Config } from '../config.ts';
import { openParts, type Parts } from '../parts.ts';

/** Exit codes, stable. */
export const exit = {
  done: 0,
  /** Refused, failed, or a requirement is not met. */
  failed: 1,
  /** `playhead check`: nothing failed, but something could not be decided. */
  inconclusive: 2,
  /** Called or set up wrongly; EX_USAGE of sysexits.h. */
  usage: 64,
} as const;

/** Called wrongly: the message is one sentence for whoever typed it. */
export class UsageError extends Error {}

export interface Call {
  /** What stands after the command's name and is no option. */
  words: string[];
  /** Undefined where an option was not given; a flag that was given is `true` as text. */
  options: Record<string, string | undefined>;
  config: Config;
}

export interface Command {
  /** What is typed after `playhead`. */
  usage: string;
  says: string;
  /** Beside `--help` and the settings, which every command takes. */
  options?: ParseArgsOptionsConfig;
  /** @returns the exit code */
  run(call: Call): Promise<number>;
}

export const text = { type: 'string' } as const;
export const flag = { type: 'boolean' } as const;

/** Builds the parts of a gateway for as long as `use` takes. */
export async function withParts(config: Config, use: (parts: Parts) => Promise<number>): Promise<number> {
  const parts = await openParts(config);
  try {
    return await use(parts);
  } finally {
    await parts.close();
  }
}

/** @throws UsageError unless there is exactly one word */
export function only(words: string[], what: string): string {
  const [word] = words;
  if (word === undefined || words.length > 1) throw new UsageError(`Exactly one ${what} is needed.`);
  return word;
}

/** @throws UsageError where the option was left out */
export function need(options: Call['options'], name: string): string {
  const value = options[name];
  if (!value) throw new UsageError(`The option --${name} is missing.`);
  return value;
}

/** The value of `--channels`, as a claim. @throws UsageError */
export function readChannels(value: string | undefined): Claims {
  if (value === undefined) return {};
  if (value === 'caller,recipient') return { channels: ['caller', 'recipient'] };
  if (value === 'recipient,caller') return { channels: ['recipient', 'caller'] };
  throw new UsageError(`--channels must be caller,recipient or recipient,caller, not "${value}".`);
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
