import { Problem } from '../errors.ts';
import { streamUrl } from '../urls.ts';
import { type Command, exit, need, print, text, UsageError, withParts } from './command.ts';

export const url: Command = {
  options: {
    account: text('ID', 'Your id of the HubSpot account.'),
    id: text('EXTERNAL_ID', 'Your id of the call.'),
  },

  run: ({ options, config }) =>
    withParts(config, async ({ catalog, tokens }) => {
      if (config.publicUrl === '')
        throw new UsageError('PLAYHEAD_PUBLIC_URL is missing: a port of 0 tells none.');
      const recording = await catalog.read(need(options, 'account'), need(options, 'id'));
      if (!recording?.key)
        throw new Problem('not_found', 'There is no playable recording with this account and id.');
      const { token, expiresAt } = await tokens.sign(recording);
      print(streamUrl(config.publicUrl, token));
      process.stderr.write(`Works until ${expiresAt.toISOString()}.\n`);
      return exit.done;
    }),
};
