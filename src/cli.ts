#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { type Command, exitCode, print, UsageError } from './commands/command.ts';
import { isProblem } from './errors.ts';
import { ConfigError, flagOf, readConfig, settings } from './settings/config.ts';
import { version } from './version.ts';

interface Entry {
  /** The arguments and main options, as in the help text. */
  usage: string;
  /** Says in the help text what the command does. */
  description: string;
  /** Imports the command when it is used, because most commands load half of the server. */
  load(): Promise<Command>;
}

const commands: Record<string, Entry> = {
  serve: {
    usage: 'serve',
    description: 'Run the gateway. --workers N runs it in N processes that share the port.',
    load: async () => (await import('./commands/serve.ts')).serve,
  },
  check: {
    usage: 'check FILE|FOLDER|GLOB|URL...',
    description:
      'Check whether HubSpot can transcribe recordings. Exit code 0: all pass; 1: at least one fails; 2: none fails, at least one is inconclusive.',
    load: async () => (await import('./commands/check.ts')).check,
  },
  ingest: {
    usage: 'ingest FILE|URL --account ID --id EXTERNAL_ID --direction inbound|outbound',
    description: 'Check one recording and store it, as POST /v1/recordings does.',
    load: async () => (await import('./commands/ingest.ts')).ingest,
  },
  url: {
    usage: 'url --account ID --id EXTERNAL_ID',
    description: 'Print an authenticated URL of one recording.',
    load: async () => (await import('./commands/url.ts')).url,
  },
  register: {
    usage: 'register [--show | --dry-run]',
    description: 'Register with HubSpot the URL where it requests recordings, or show the registered URL.',
    load: async () => (await import('./commands/register.ts')).register,
  },
  doctor: {
    usage: 'doctor [URL] --id EXTERNAL_ID',
    description:
      'Send the requests of HubSpot and its players to this gateway or to URL, and report which requirements are met.',
    load: async () => (await import('./commands/doctor.ts')).doctor,
  },
  revoke: {
    usage: 'revoke URL | --account ID [--id EXTERNAL_ID]',
    description: 'Revoke one authenticated URL, or all URLs of an account or of one of its recordings.',
    load: async () => (await import('./commands/revoke.ts')).revoke,
  },
  erase: {
    usage: 'erase --account ID --id EXTERNAL_ID | --number NUMBER | --contact ID --account ID',
    description:
      'Erase one recording, or every recording whose call names a person. Their audio is removed and their URLs are revoked.',
    load: async () => (await import('./commands/erase.ts')).erase,
  },
  retention: {
    usage: 'retention list | set DURATION --account ID | clear --account ID',
    description: 'List how long recordings are kept, or set it for one account, such as 90d. 0 is for ever.',
    load: async () => (await import('./commands/retention.ts')).retention,
  },
  hold: {
    usage:
      'hold list | set --account ID [--id EXTERNAL_ID] --reason TEXT | release --account ID [--id EXTERNAL_ID]',
    description:
      'List the legal holds, or place or release one on a recording or on an account. What is held is neither erased nor replaced.',
    load: async () => (await import('./commands/hold.ts')).hold,
  },
  keys: {
    usage: 'keys list | rotate | retire KID',
    description: 'List the keys that sign URLs, add a new one, or retire one with all URLs that it signed.',
    load: async () => (await import('./commands/keys.ts')).keys,
  },
  'api-keys': {
    usage: 'api-keys list | create --name NAME --role ingest|read|admin [--accounts ID,ID] | revoke NAME',
    description:
      'List the API keys in the database, create one with a role for some accounts, or revoke one.',
    load: async () => (await import('./commands/api-keys.ts')).apiKeys,
  },
  'secret-key': {
    usage: 'secret-key list | rotate | drop',
    description:
      'List the keys that encrypt the secrets in the database, encrypt everything anew with the newest one, or remove the old ones from the file secret-key.',
    load: async () => (await import('./commands/secret-key.ts')).secretKey,
  },
  outbox: {
    usage: 'outbox list [--state waiting|done|dead] | retry ID|--all',
    description: 'List the publications to HubSpot and why one failed, or retry dead letters.',
    load: async () => (await import('./commands/outbox.ts')).outbox,
  },
  verify: {
    usage: 'verify [--account ID] [--id EXTERNAL_ID] [--repair]',
    description: 'Compare the audio in the store with the SHA-256 of each recording.',
    load: async () => (await import('./commands/verify.ts')).verify,
  },
  installations: {
    usage: 'installations list | revoke PORTAL',
    description: 'List the HubSpot accounts that installed the app, or revoke the access to one.',
    load: async () => (await import('./commands/installations.ts')).installations,
  },
  migrate: {
    usage: 'migrate',
    description: 'Bring the database up to date. Every start of the gateway does so too.',
    load: async () => (await import('./commands/migrate.ts')).migrate,
  },
  backup: {
    usage: 'backup --to FOLDER',
    description: 'Copy the database and the recordings into a folder, while the gateway serves.',
    load: async () => (await import('./commands/backup.ts')).backup,
  },
  restore: {
    usage: 'restore --from FOLDER',
    description: 'Put a backup into an empty data folder, or into an empty database and a store.',
    load: async () => (await import('./commands/restore.ts')).restore,
  },
  'move-store': {
    usage: 'move-store',
    description:
      'Move all recordings from PLAYHEAD_STORE_BEFORE to PLAYHEAD_STORE, while the gateways serve.',
    load: async () => (await import('./commands/move-store.ts')).moveStore,
  },
  'move-database': {
    usage: 'move-database --to postgres://…',
    description: 'Move everything from SQLite to an empty Postgres database.',
    load: async () => (await import('./commands/move-database.ts')).moveDatabase,
  },
  sandbox: {
    usage: 'sandbox --port N',
    description: 'Run a local HubSpot for development, with app 101 and access token sandbox-token.',
    load: async () => (await import('./commands/sandbox.ts')).sandbox,
  },
};

const settingsAreFlags =
  'Every setting in docs/configuration.md is also a flag: PLAYHEAD_DATA_DIR is --data-dir.';

async function main([name, ...args]: string[]): Promise<number> {
  if (name === undefined || ['help', '--help', '-h'].includes(name)) {
    print(help());
    return name === undefined ? exitCode.usage : exitCode.done;
  }
  if (['version', '--version'].includes(name)) {
    print(version);
    return exitCode.done;
  }
  const entry = Object.hasOwn(commands, name) && commands[name];
  if (!entry) throw new UsageError(`"${name}" is not a command: playhead help lists the commands.`);
  const command = await entry.load();
  const { positionals, options, flags } = parse(name, command, args);
  if (options.help) {
    print(helpOn(entry, command));
    return exitCode.done;
  }
  const extra = positionals[command.maxArgs ?? 0];
  if (extra !== undefined) throw new UsageError(`Unexpected argument "${extra}": ${seeHelp(name)}`);
  return command.run({ args: positionals, options, config: readConfig(flags) });
}

/** Splits the command line into arguments, options of the command, and flags of settings. */
function parse(name: string, command: Command, args: string[]) {
  const settingFlags = Object.fromEntries(
    Object.keys(settings).map((key) => [flagOf(key), { type: 'string' as const }]),
  );
  const options = { ...settingFlags, help: { type: 'boolean' as const }, ...command.options };
  try {
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
    const given = Object.entries(values).map(([name, value]) => [name, String(value)] as const);
    return {
      positionals,
      options: Object.fromEntries(given),
      flags: Object.fromEntries(given.filter(([name]) => name in settingFlags)),
    };
  } catch (error) {
    // Node's message has a second sentence, about arguments that begin with a dash.
    const [sentence] = (error as Error).message.split(/\.\s/);
    throw new UsageError(`${sentence?.replace(/\.$/, '')}: ${seeHelp(name)}`);
  }
}

function seeHelp(name: string): string {
  return `playhead ${name} --help lists its arguments and options.`;
}

function helpOn({ usage, description }: Entry, { options = {} }: Command): string {
  const lines = Object.entries(options).map(
    ([name, { placeholder, description }]) => `  ${`--${name} ${placeholder}`.padEnd(31)} ${description}`,
  );
  const section = lines.length > 0 ? [...lines, ''] : [];
  return [`playhead ${usage}`, description, '', ...section, settingsAreFlags].join('\n');
}

function help(): string {
  const lines = Object.values(commands).flatMap(({ usage, description }) => [
    `  playhead ${usage}`,
    `      ${description}`,
  ]);
  return [
    `playhead ${version}: call recordings for HubSpot`,
    '',
    ...lines,
    '',
    'playhead COMMAND --help lists the options of one command.',
    settingsAreFlags,
  ].join('\n');
}

/** Writes one sentence to standard error, without a stack, because its reader is an operator. */
function reportError(error: unknown): number {
  const { message, cause } = error as Error;
  const reason = cause instanceof Error && !message.includes(cause.message) ? ` (${cause.message})` : '';
  process.stderr.write(`${message}${reason}\n`);
  const isUsage =
    error instanceof UsageError || error instanceof ConfigError || isProblem(error, 'invalid_request');
  return isUsage ? exitCode.usage : exitCode.failed;
}

// Without a listener, this signal opens Node's inspector to everybody on this machine.
process.on('SIGUSR1', () => {});
process.exitCode = await main(process.argv.slice(2)).catch(reportError);
