import { retrieveUrlTemplate } from '../urls.ts';
import { type Command, exit, flag, print, text, UsageError, withParts } from './command.ts';

export const register: Command = {
  options: {
    show: flag('Reads back what HubSpot has.'),
    'dry-run': flag('Prints the URL and sends nothing.'),
    account: text('ID', 'Whose OAuth installation speaks.'),
  },

  run: ({ options, config }) =>
    withParts(config, async ({ apiKeys, hubspot }) => {
      const url = retrieveUrlTemplate(config, apiKeys.accessKey);
      if (options['dry-run']) {
        print(url);
        return exit.done;
      }
      if (config.hubspotAppId === '') throw new UsageError('PLAYHEAD_HUBSPOT_APP_ID is missing.');
      if (config.hubspotAccessToken === '' && !options.account) {
        throw new UsageError('PLAYHEAD_HUBSPOT_ACCESS_TOKEN is missing; with OAuth, say --account ID.');
      }
      const client = await hubspot.accounts.clientFor(options.account ?? '');
      if (options.show) {
        const registered = await client.readRecordingUrl();
        print(registered ?? 'HubSpot has no URL for this app.');
        return registered === undefined ? exit.failed : exit.done;
      }
      print(await client.registerRecordingUrl(url));
      return exit.done;
    }),
};
