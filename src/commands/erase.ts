import { Problem } from '../errors.ts';
import { type Command, exitCode, option, print, requireOption, withParts } from './command.ts';

export const erase: Command = {
  options: {
    account: option('ID', 'Account id in your phone system.'),
    id: option('EXTERNAL_ID', 'Call id in your phone system.'),
  },

  run: ({ options, config }) =>
    withParts(config, async ({ ingest }) => {
      const [accountId, externalId] = [requireOption(options, 'account'), requireOption(options, 'id')];
      if (!(await ingest.erase(accountId, externalId))) {
        throw new Problem('not_found', 'There is no recording with this account and id.');
      }
      print('Erased. Every gateway on this database denies access within 5 seconds.');
      return exitCode.done;
    }),
};
