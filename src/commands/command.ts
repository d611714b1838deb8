import { isProfile } from '../audio/profiles.ts';
import type { Declared } from '../audio/report.ts';
import type { Parts } from '../parts.ts';
import type { Config } from '../settings/config.ts';

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
  /** How many words it takes beside options, at most; left out: none. */
  words?: number;
  /** Beside `--help` and the settings, which every command takes. */
  options?: Record<string, Option>;
  /** @returns the exit code */
  run(call: Call): Promise<number>;
}

/** One option: what is typed after it, if anything, and what it is for. */
export interface Option {
  type: 'string' | 'boolean';
  value: string;
  says: string;
}

export const text = (value: string, says: string): Option => ({ type: 'string', value, says });
export const flag = (says: string): Option => ({ type: 'boolean', value: '', says });

/** Of a recording: what whoever offers it knows of it. */
export const declaredOptions = {
  channels: text('caller,recipient', 'Declares who is on channel 1 and who on channel 2.'),
  profile: text('NAME', 'What recorded the call: playhead check --profiles lists them.'),
  direction: text('inbound|outbound', 'Which way the call went.'),
  leg: text('caller|recipient', 'Whose leg was recorded, for the profiles that ask.'),
};

/** Builds the parts of a gateway for as long as `use` takes. */
export async function withParts(config: Config, use: (parts: Parts) => Promise<number>): Promise<number> {
  const { openParts } = await import('../parts.ts'); // not before it is needed: it imports nearly all there is
  const parts = await openParts(config);
  try {
    return await use(parts);
  } finally {
    await parts.close();
  }
}

/** @throws UsageError where the option was left out */
export function need(options: Call['options'], name: string): string {
  const value = options[name];
  if (!value) throw new UsageError(`The option --${name} is missing.`);
  return value;
}

/** The options of `declaredOptions`, read. @throws UsageError that names the option */
export function readDeclared({ channels, profile, direction, leg }: Call['options']): Declared {
  if (profile !== undefined && !isProfile(profile)) {
    throw new UsageError(`--profile ${profile} is not known; playhead check --profiles lists them.`);
  }
  return {
    ...readChannels(channels),
    ...(profile !== undefined && { profile }),
    ...(direction !== undefined && { direction: oneOf('direction', direction, 'inbound', 'outbound') }),
    ...(leg !== undefined && { leg: oneOf('leg', leg, 'caller', 'recipient') }),
  };
}

/** The value of `--channels`, as a claim. @throws UsageError */
export function readChannels(value: string | undefined): Declared {
  if (value === undefined) return {};
  const maps: Record<string, Declared> = {
    'caller,recipient': { channels: ['caller', 'recipient'] },
    'recipient,caller': { channels: ['recipient', 'caller'] },
  };
  return maps[oneOf('channels', value, 'caller,recipient', 'recipient,caller')]!;
}

/** @throws UsageError unless the value is one of the words */
export function oneOf<const T extends string>(name: string, value: string, ...words: T[]): T {
  const word = words.find((candidate) => candidate === value);
  if (!word) throw new UsageError(`--${name} must be ${words.join(' or ')}, not "${value}".`);
  return word;
}

export function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
