import { Problem } from '../errors.ts';
import { tokenIn } from '../urls.ts';
import { type Command, exit, print, text, UsageError, withParts } from './command.ts';

export const revoke: Command = {
  words: 1,
  options: {
    account: text('ID', 'Your id of the HubSpot account.'),
    id: text('EXTERNAL_ID', 'Your id of the call; left out: every recording of the account.'),
  },

  run: ({ words: [url], options: { account, id }, config }) => {
    if (url ? account || id : !account) throw new UsageError('revoke takes a URL, or --account and --id.');
    return withParts(config, async ({ catalog, tokens }) => {
      if (url) await tokens.revoke({ token: tokenIn(url) ?? url });
      else {
        const subject = { accountId: account!, ...(id && { externalId: id }) };
        const { recordings } = await catalog.list({ ...subject, limit: 1 });
        // A slip of the pen must not pass for a revocation.
        if (recordings.length === 0)
          throw new Problem('not_found', 'There is no recording with this account and id.');
        await tokens.revoke(subject);
      }
      print('Revoked: every gateway on this database refuses it within 5 seconds.');
      return exit.done;
    });
  },
};
