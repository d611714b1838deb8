import { createInterface } from 'node:readline/promises';
import { Problem } from '../errors.ts';
import { erasePerson, type Person, recordingsOf } from '../maintenance/erase-person.ts';
import type { Parts } from '../parts.ts';
import type { PartyMatch } from '../recordings/call-parties.ts';
import {
  type Command,
  exitCode,
  flag,
  type OptionValues,
  option,
  print,
  requireOption,
  UsageError,
  withParts,
} from './command.ts';
import { Progress } from './progress.ts';

export const erase: Command = {
  options: {
    account: option('ID', 'Account id in your phone system.'),
    id: option('EXTERNAL_ID', 'Call id in your phone system.'),
    number: option('NUMBER', 'Erase every recording whose call is from or to this number.'),
    contact: option('ID', 'Erase every recording whose call is associated with this contact of the account.'),
    'dry-run': flag('With --number or --contact: only list what would be erased.'),
    yes: flag('With --number or --contact: erase without a question.'),
    json: flag('With --number or --contact: print JSON.'),
  },

  run: ({ options, config }) => {
    const { account: accountId, id, number, contact } = options;
    if (number === undefined && contact === undefined)
      return withParts(config, (parts) =>
        eraseOne(parts, requireOption(options, 'account'), requireOption(options, 'id')),
      );
    if (id !== undefined) throw new UsageError('Use either --id, or --number or --contact.');
    return withParts(config, (parts) => erasePersonByCommand(parts, { number, contact, accountId }, options));
  },
};

async function eraseOne({ ingest }: Parts, accountId: string, externalId: string): Promise<number> {
  if (!(await ingest.erase(accountId, externalId))) {
    throw new Problem('not_found', 'There is no recording with this account and id.');
  }
  print('Erased. Every gateway on this database denies access within 5 seconds.');
  return exitCode.done;
}

/** What was erased or would be, and what is under a legal hold. */
interface Outcome {
  recordings: PartyMatch[];
  held: PartyMatch[];
}

async function erasePersonByCommand(parts: Parts, person: Person, options: OptionValues): Promise<number> {
  const { db } = parts;
  const found = {
    recordings: await Array.fromAsync(recordingsOf(db, person, { isHeld: false })),
    held: await Array.fromAsync(recordingsOf(db, person, { isHeld: true })),
  };
  const isDryRun = options['dry-run'] !== undefined;
  if (!isDryRun && options.yes === undefined && !(await isConfirmed(found))) return exitCode.failed;
  const outcome = isDryRun ? found : await eraseAll(parts, person, found);
  print(
    options.json ? JSON.stringify({ dryRun: isDryRun, ...outcome }, null, 2) : summary(outcome, isDryRun),
  );
  // A script must notice that something of the person is left.
  return outcome.held.length === 0 ? exitCode.done : exitCode.failed;
}

async function eraseAll(parts: Parts, person: Person, found: Outcome): Promise<Outcome> {
  const outcome: Outcome = { recordings: [], held: [...found.held] };
  const progress = new Progress();
  try {
    for await (const { outcome: result, ...match } of erasePerson(parts, person)) {
      (result === 'erased' ? outcome.recordings : outcome.held).push(match);
      progress.show(`${outcome.recordings.length} of ${found.recordings.length} recordings erased`);
    }
  } finally {
    progress.end();
  }
  return outcome;
}

/** @throws UsageError if nobody is there to answer */
async function isConfirmed({ recordings }: Outcome): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new UsageError(
      'Add --dry-run to list what would be erased, or --yes to erase it without a question.',
    );
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  for (const match of recordings) process.stderr.write(`${line(match)}\n`);
  const answer = await terminal.question(`Erase these ${recordings.length} recordings? Type yes: `);
  terminal.close();
  return answer.trim() === 'yes';
}

function summary({ recordings, held }: Outcome, isDryRun: boolean): string {
  const stays = held.map((match) => `${line(match)}  is under a legal hold and stays`);
  const done = isDryRun ? 'would be erased' : 'were erased';
  return [
    ...recordings.map(line),
    ...stays,
    `${recordings.length} recordings ${done}, ${held.length} are under a legal hold.`,
  ].join('\n');
}

function line({ accountId, externalId, createdAt }: PartyMatch): string {
  return `${accountId}/${externalId}  ${createdAt.toISOString()}`;
}
