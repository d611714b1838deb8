import { retrieveUrl } from '../routes/retrieve.ts';
import { type Command, exit, flag, print, text, UsageError, withParts } from './command.ts';

export const register: Command = {
  usage: 'register [--show | --dry-run]',
  says: 'Tell HubSpot where to ask for recordings, or show what it has been told. Also: --account ID, whose installation speaks.',
  options: { show: flag, 'dry-run': flag, account: text },

  run: ({ options, config }) =>
    withParts(config, async ({ access, hubspot }) => {
      const url = retrieveUrl(config, access.accessKey);
      if (options['dry-run']) {
        print(url);
        return exit.done;
      }
      if (config.hubspotAppId === '') throw new UsageError('PLAYHEAD_HUBSPOT_APP_ID is missing.');
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
