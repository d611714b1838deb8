#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { check } from './commands/check.ts';
import { type Command, exit, print, UsageError } from './commands/command.ts';
import { doctor } from './commands/doctor.ts';
import { ingest } from './commands/ingest.ts';
import { keys } from './commands/keys.ts';
import { migrate } from './commands/migrate.ts';
import { outbox } from './commands/outbox.ts';
import { register } from './commands/register.ts';
import { revoke } from './commands/revoke.ts';
import { sandbox } from './commands/sandbox.ts';
import { serve } from './commands/serve.ts';
import { url } from './commands/url.ts';
import { ConfigError, flagOf, readConfig, settings } from './config.ts';
import { isProblem } from './errors.ts';
import { version } from './version.ts';

const settingsToo = 'Every setting in docs/configuration.md is a flag, too: PLAYHEAD_DATA_DIR is --data-dir.';

const commands: Record<string, Command> = {
  serve,
  check,
  ingest,
  url,
  register,
  doctor,
  revoke,
  keys,
  outbox,
  migrate,
  sandbox,
};

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || ['help', '--help', '-h'].includes(name)) {
    print(help());
    return name === undefined ? exit.usage : exit.done;
  }
  if (['version', '--version'].includes(name)) {
    print(version);
    return exit.done;
  }
  const command = Object.hasOwn(commands, name) && commands[name];
  if (!command) throw new UsageError(`"${name}" is not a command; playhead help lists them.`);
  const { words, options, flags } = parse(name, command, args);
  if (options.help) {
    print(helpOn(command));
    return exit.done;
  }
  const extra = words[command.words ?? 0];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one word too many; ${helpOf(name)}`);
  return command.run({ words, options, config: readConfig(flags) });
}

/** Splits what was typed into words, the command's own options, and settings. */
function parse(name: string, command: Command, args: string[]) {
  const flags = Object.fromEntries(
    Object.keys(settings).map((key) => [flagOf(key), { type: 'string' as const }]),
  );
  try {
    const options = { ...flags, help: { type: 'boolean' as const }, ...command.options };
    const parsed = parseArgs({ args, options, allowPositionals: true });
    const given = Object.entries(parsed.values).map(([name, value]) => [name, String(value)] as const);
    return {
      words: parsed.positionals,
      options: Object.fromEntries(given),
      flags: Object.fromEntries(given.filter(([name]) => name in flags)),
    };
  } catch (error) {
    // Node goes on about words that begin with a dash.
    const [sentence] = (error as Error).message.split(/\.\s/);
    throw new UsageError(`${sentence?.replace(/\.$/, '')}; ${helpOf(name)}`);
  }
}

const helpOf = (name: string) => `playhead ${name} --help lists what it takes.`;

function helpOn({ usage, says, options = {} }: Command): string {
  const lines = Object.entries(options).map(
    ([name, { value, says }]) => `  ${`--${name} ${value}`.padEnd(31)} ${says}`,
  );
  return [`playhead ${usage}`, says, '', ...lines, ...(lines.length > 0 ? [''] : []), settingsToo].join('\n');
}

function help(): string {
  const lines = Object.values(commands).flatMap(({ usage, says }) => [
    `  playhead ${usage}`,
    `      ${says}`,
  ]);
  return [
    `playhead ${version}: call recordings for HubSpot`,
    '',
    ...lines,
    '',
    'playhead COMMAND --help lists the options of one command.',
    settingsToo,
  ].join('\n');
}

/** One sentence on standard error, without a stack: the reader is an operator. */
function explain(error: unknown): number {
  const { message, cause } = error as Error;
  const reason = cause instanceof Error && !message.includes(cause.message) ? ` (${cause.message})` : '';
  process.stderr.write(`${message}${reason}\n`);
  const isUsage =
    error instanceof UsageError || error instanceof ConfigError || isProblem(error, 'invalid_request');
  return isUsage ? exit.usage : exit.failed;
}

process.exitCode = await main(process.argv.slice(2)).catch(explain);
