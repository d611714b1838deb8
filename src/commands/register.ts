import { retrieveUrlTemplate } from '../urls.ts';
import { type Command, exitCode, flag, option, print, UsageError, withParts } from './command.ts';

export const register: Command = {
  options: {
    show: flag('Print the URL that is registered with HubSpot.'),
    'dry-run': flag('Print the URL and send nothing.'),
    account: option('ID', 'Account whose OAuth installation authorizes the request.'),
  },

  run: ({ options, config }) =>
    withParts(config, async ({ apiKeys, hubspot }) => {
      const url = retrieveUrlTemplate(config, apiKeys.accessKey);
      if (options['dry-run']) {
        print(url);
        return exitCode.done;
      }
      if (config.hubspotAppId === '') {
        throw new UsageError('PLAYHEAD_HUBSPOT_APP_ID is missing: set it to the id of your HubSpot app.');
      }
      if (config.hubspotAccessToken === '' && !options.account) {
        throw new UsageError(
          'PLAYHEAD_HUBSPOT_ACCESS_TOKEN is missing: set it, or name an OAuth installation with --account ID.',
        );
      }
      const client = await hubspot.accounts.clientFor(options.account ?? '');
      if (options.show) {
        const registered = await client.readRecordingUrl();
        print(registered ?? 'No URL is registered with HubSpot for this app.');
        return registered === undefined ? exitCode.failed : exitCode.done;
      }
      print(await client.registerRecordingUrl(url));
      return exitCode.done;
    }),
};
