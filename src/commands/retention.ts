import { retention as kind, retentionText } from '../settings/kinds.ts';
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

export const retention: Command = {
  maxArgs: 2,
  options: {
    account: option('ID', 'For set and clear: account id in your phone system.'),
    json: flag('For list: print JSON.'),
  },

  run: ({ args: [action = 'list', duration], options, config }) =>
    withParts(config, async ({ retentionRules }) => {
      if (action === 'list' && duration === undefined) {
        const { defaultMs } = retentionRules;
        const rules = await retentionRules.list();
        const accounts = rules.map(({ accountId, retentionMs }) => ({
          accountId,
          retention: retentionText(retentionMs),
        }));
        const list = { default: retentionText(defaultMs), accounts };
        print(options.json ? JSON.stringify(list, null, 2) : table(list));
      } else if (action === 'set' && duration !== undefined) {
        const accountId = requireOption(options, 'account');
        const retentionMs = parse(duration);
        await retentionRules.set({ accountId, retentionMs });
        print(`Recordings of ${accountId} are kept ${sentence(duration)}.`);
      } else if (action === 'clear' && duration === undefined) {
        const accountId = requireOption(options, 'account');
        await retentionRules.clear(accountId);
        const { defaultMs } = retentionRules;
        print(
          `Recordings of ${accountId} are kept ${sentence(retentionText(defaultMs))}, as the setting says.`,
        );
      } else {
        throw new UsageError('Use retention list, retention set DURATION or retention clear.');
      }
      return exitCode.done;
    }),
};

function parse(duration: string): number {
  try {
    return kind.parse(duration);
  } catch (error) {
    throw new UsageError(`The duration ${(error as Error).message}.`);
  }
}

function table(list: { default: string; accounts: { accountId: string; retention: string }[] }): string {
  return [
    `every account without a rule  ${sentence(list.default)}`,
    ...list.accounts.map(({ accountId, retention }) => `${accountId}  ${sentence(retention)}`),
  ].join('\n');
}

function sentence(retention: string): string {
  return retention === '0' ? 'for ever' : `for ${retention}`;
}
