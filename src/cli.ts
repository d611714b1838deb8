#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { check } from './commands/check.ts';
import { type Command, exit, flag, print, text, UsageError } from './commands/command.ts';
import { doctor } from './commands/doctor.ts';
import { ingest } from './commands/ingest.ts';
import { keys } from './commands/keys.ts';
import { migrate } from './commands/migrate.ts';
import { outbox } from './commands/outbox.ts';
import { register } from './commands/register.ts';
import { sandbox } from './commands/sandbox.ts';
import { serve } from './commands/serve.ts';
import { url } from './commands/url.ts';
import { ConfigError, flagOf, readConfig, settings } from './config.ts';
import { isProblem } from './errors.ts';
import { version } from './version.ts';

const commands: Record<string, Command> = {
  serve,
  check,
  ingest,
  url,
  register,
  doctor,
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
  const command = commands[name];
  if (!command) throw new UsageError(`"${name}" is not a command; playhead help lists them.`);
  const { words, options, flags } = parse(command, args);
  if (options.help) {
    print(`playhead ${command.usage}\n${command.says}`);
    return exit.done;
  }
  return command.run({ words, options, config: readConfig(flags) });
}

/** Splits what was typed into words, the command's own options, and settings. */
function parse(command: Command, args: string[]) {
  const flags = Object.fromEntries(Object.keys(settings).map((key) => [flagOf(key), text]));
  try {
    const options = { ...flags, help: flag, ...command.options };
    const parsed = parseArgs({ args, options, allowPositionals: true });
    const given = Object.entries(parsed.values).map(([name, value]) => [name, String(value)] as const);
    return {
      words: parsed.positionals,
      options: Object.fromEntries(given),
      flags: Object.fromEntries(given.filter(([name]) => name in flags)),
    };
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
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
    'Every setting in docs/configuration.md is a flag, too: PLAYHEAD_DATA_DIR is --data-dir.',
  ].join('\n');
}

/** One sentence on standard error, without a stack: the reader is an operator. */
function explain(error: unknown): number {
  const { message, cause } = error as Error;
  const reason = cause instanceof Error ? ` (${cause.message})` : '';
  process.stderr.write(`${message}${reason}\n`);
  const isUsage =
    error instanceof UsageError || error instanceof ConfigError || isProblem(error, 'invalid_request');
  return isUsage ? exit.usage : exit.failed;
}

process.exitCode = await main(process.argv.slice(2)).catch(explain);
