import { Problem } from '../errors.ts';
import { tokenIn } from '../urls.ts';
import { type Command, exitCode, option, print, UsageError, withParts } from './command.ts';

export const revoke: Command = {
  maxArgs: 1,
  options: {
    account: option('ID', 'Account id in your phone system.'),
    id: option('EXTERNAL_ID', 'Call id in your phone system. Default: every recording of the account.'),
  },

  run: ({ args: [url], options: { account, id }, config }) => {
    if (url ? account || id : !account) {
      throw new UsageError('Name what to revoke: a URL, or --account ID with or without --id EXTERNAL_ID.');
    }
    return withParts(config, async ({ catalog, tokens }) => {
      if (url) {
        await tokens.revoke({ token: tokenIn(url) ?? url });
      } else {
        const subject = { accountId: account!, ...(id && { externalId: id }) };
        const { recordings } = await catalog.list({ ...subject, limit: 1 });
        // A mistyped id must not look like a revocation.
        if (recordings.length === 0) {
          throw new Problem('not_found', 'There is no recording with this account and id.');
        }
        await tokens.revoke(subject);
      }
      print('Revoked. Every gateway on this database denies access within 5 seconds.');
      return exitCode.done;
    });
  },
};
