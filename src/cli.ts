#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { type Command, exit, print, UsageError } from './commands/command.ts';
import { isProblem } from './errors.ts';
import { ConfigError, flagOf, readConfig, settings } from './settings/config.ts';
import { version } from './version.ts';

const settingsToo = 'Every setting in docs/configuration.md is a flag, too: PLAYHEAD_DATA_DIR is --data-dir.';

interface Listed {
  /** What is typed after `playhead`. */
  usage: string;
  says: string;
  load(): Promise<Command>;
}

/** Each is loaded when it is asked for: most bring half a server with them. */
const commands: Record<string, Listed> = {
  serve: {
    usage: 'serve',
    says: 'Run the gateway; with --workers N in N processes that share the port.',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  check: {
    usage: 'check FILE|FOLDER|GLOB|URL...',
    says: 'Check whether HubSpot can transcribe recordings. Ends with 0: all pass; 1: one fails; 2: one is inconclusive.',
    load: async () => (await import('./commands/check.ts')).check,
  },
  ingest: {
    usage: 'ingest FILE|URL --account ID --id EXTERNAL_ID --direction inbound|outbound',
    says: 'Check one recording and store it, as POST /v1/recordings does.',
    load: async () => (await import('./commands/ingest.ts')).ingest,
  },
  url: {
    usage: 'url --account ID --id EXTERNAL_ID',
    says: 'Print an authenticated URL of one recording.',
    load: async () => (await import('./commands/url.ts')).url,
  },
  register: {
    usage: 'register [--show | --dry-run]',
    says: 'Tell HubSpot where to ask for recordings, or show what it has been told.',
    load: async () => (await import('./commands/register.ts')).register,
  },
  doctor: {
    usage: 'doctor [URL] --id EXTERNAL_ID',
    says: 'Do what HubSpot does to a recording endpoint, this gateway or the URL of any other, and say what it meets.',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  revoke: {
    usage: 'revoke URL | --account ID [--id EXTERNAL_ID]',
    says: 'Break one authenticated URL, or all that were given out so far for an account or one recording of it.',
    load: async () => (await import('./commands/revoke.ts')).revoke,
  },
  keys: {
    usage: 'keys list | rotate | retire KID',
    says: 'List the keys that sign URLs, take a new one, or retire one and break every URL it signed.',
    load: async () => (await import('./commands/keys.ts')).keys,
  },
  outbox: {
    usage: 'outbox list [--state waiting|done|dead] | retry ID|--all',
    says: 'Show the recordings on their way to HubSpot, and why one failed; send a dead letter off again.',
    load: async () => (await import('./commands/outbox.ts')).outbox,
  },
  installations: {
    usage: 'installations list | revoke PORTAL',
    says: 'Show the HubSpot accounts that have installed the app, and why one is lost; give one back to HubSpot.',
    load: async () => (await import('./commands/installations.ts')).installations,
  },
  migrate: {
    usage: 'migrate',
    says: 'Bring the database up to date. Every start does so, too; this is for those who want it apart.',
    load: async () => (await import('./commands/migrate.ts')).migrate,
  },
  sandbox: {
    usage: 'sandbox --port N',
    says: 'Run a local HubSpot to develop against: app 101, access token sandbox-token.',
    load: async () => (await import('./commands/sandbox.ts')).sandbox,
  },
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
  const listed = Object.hasOwn(commands, name) && commands[name];
  if (!listed) throw new UsageError(`"${name}" is not a command; playhead help lists them.`);
  const command = await listed.load();
  const { words, options, flags } = parse(name, command, args);
  if (options.help) {
    print(helpOn(listed, command));
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

function helpOn({ usage, says }: Listed, { options = {} }: Command): string {
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
