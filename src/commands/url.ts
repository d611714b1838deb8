import { Problem } from '../errors.ts';
import { streamUrl } from '../urls.ts';
import { type Command, exitCode, option, print, requireOption, UsageError, withParts } from './command.ts';

export const url: Command = {
  options: {
    account: option('ID', 'Account id in your phone system.'),
    id: option('EXTERNAL_ID', 'Call id in your phone system.'),
  },

  run: ({ options, config }) =>
    withParts(config, async ({ catalog, tokens }) => {
      if (config.publicUrl === '') {
        throw new UsageError('PLAYHEAD_PUBLIC_URL is missing: it cannot be derived from port 0.');
      }
      const recording = await catalog.read(requireOption(options, 'account'), requireOption(options, 'id'));
      if (!recording?.key) {
        throw new Problem('not_found', 'There is no playable recording with this account and id.');
      }
      const { token, expiresAt } = await tokens.sign(recording);
      print(streamUrl(config.publicUrl, token));
      process.stderr.write(`Valid until ${expiresAt.toISOString()}.\n`);
      return exitCode.done;
    }),
};
