import { Problem } from '../errors.ts';
import type { Hold } from '../recordings/holds.ts';
import {
  type Command,
  exitCode,
  flag,
  option,
  print,
  requireOption,
  UsageError,
  withParts,
} from './command.ts';

export const hold: Command = {
  maxArgs: 1,
  options: {
    account: option('ID', 'Account id in your phone system.'),
    id: option('EXTERNAL_ID', 'Call id in your phone system. Default: the whole account.'),
    reason: option('TEXT', 'For set: why, and who decides about the release.'),
    json: flag('For list: print JSON.'),
  },

  run: ({ args: [action = 'list'], options, config }) =>
    withParts(config, async ({ holds }) => {
      const { id: externalId } = options;
      if (action === 'list') {
        const list = await holds.list(options.account);
        print(options.json ? JSON.stringify(list, null, 2) : table(list));
        return exitCode.done;
      }
      if (action !== 'set' && action !== 'release')
        throw new UsageError('Use hold set, hold release or hold list.');
      const subject = { accountId: requireOption(options, 'account'), externalId };
      if (action === 'set') {
        print(`Held: ${line(await holds.place(subject, requireOption(options, 'reason')))}`);
      } else {
        if (!(await holds.release(subject))) throw new Problem('not_found', 'There is no such hold.');
        print('Released.');
      }
      return exitCode.done;
    }),
};

function table(holds: Hold[]): string {
  return holds.length === 0 ? 'There are no legal holds.' : holds.map(line).join('\n');
}

function line({ accountId, externalId, placedAt, reason }: Hold): string {
  const what = externalId === undefined ? `account ${accountId}` : `${accountId}/${externalId}`;
  return `${what}  since ${placedAt.toISOString()}  ${reason}`;
}
