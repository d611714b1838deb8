import type { Parts } from '../parts.ts';
import type { Config } from '../settings/config.ts';

/** The exit codes. Scripts depend on them. */
export const exitCode = {
  done: 0,
  /** The command failed, a recording failed the check, or a requirement is not met. */
  failed: 1,
  /** `playhead check`: no recording failed, but at least one is inconclusive. */
  inconclusive: 2,
  /** Wrong arguments or settings: EX_USAGE of sysexits.h. */
  usage: 64,
} as const;

/** Wrong arguments. The message is one sentence that names the argument or option. */
export class UsageError extends Error {}

export interface Command {
  /** How many arguments it takes at most. Default: none. */
  maxArgs?: number;
  /** The options in addition to `--help` and the settings, which every command has. */
  options?: Record<string, Option>;
  /** @returns the exit code */
  run(invocation: Invocation): Promise<number>;
}

export interface Invocation {
  args: string[];
  options: OptionValues;
  config: Config;
}

/** Undefined if the option is not given. The value of a flag is `"true"`. */
export type OptionValues = Record<string, string | undefined>;

export interface Option {
  type: 'string' | 'boolean';
  /** Shown for the value in the help text. Empty for a flag. */
  placeholder: string;
  /** One sentence for the help text. */
  description: string;
}

export function option(placeholder: string, description: string): Option {
  return { type: 'string', placeholder, description };
}

export function flag(description: string): Option {
  return { type: 'boolean', placeholder: '', description };
}

/** @throws UsageError if the option is not given */
export function requireOption(options: OptionValues, name: string): string {
  const value = options[name];
  if (!value) throw new UsageError(`The option --${name} is missing.`);
  return value;
}

/** @throws UsageError if the value is not one of the choices */
export function parseChoice<const T extends string>(name: string, value: string, ...choices: T[]): T {
  const choice = choices.find((candidate) => candidate === value);
  if (!choice) throw new UsageError(`--${name} must be ${choices.join(' or ')}, not "${value}".`);
  return choice;
}

/** Opens the parts of a gateway, calls `use` with them and closes them. */
export async function withParts(config: Config, use: (parts: Parts) => Promise<number>): Promise<number> {
  const { openParts } = await import('../parts.ts'); // imported late because it loads most of the server
  const parts = await openParts(config);
  try {
    return await use(parts);
  } finally {
    await parts.close();
  }
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
