import { examine, formatDiagnosis } from '../doctor/doctor.ts';
import { retrieveUrlTemplate } from '../urls.ts';
import {
  type Command,
  declaredOptions,
  exit,
  flag,
  print,
  readChannels,
  text,
  UsageError,
  withParts,
} from './command.ts';

export const doctor: Command = {
  words: 1,
  options: {
    id: text('EXTERNAL_ID', 'Takes the place of %s in the URL.'),
    account: text('ID', 'Sent as externalAccountId.'),
    app: text('ID', 'Sent as appId; left out: the app in the settings.'),
    channels: declaredOptions.channels,
    json: flag('Prints one JSON object.'),
  },

  run({ words: [url], options: { id, account, app, channels, json }, config }) {
    if (url !== undefined && !(URL.canParse(url) && /^https?:/.test(url))) {
      throw new UsageError(`"${url}" is not an http:// or https:// URL.`);
    }
    if (id === undefined && (url === undefined || url.includes('%s'))) {
      throw new UsageError('The option --id is missing: it says which recording to ask for.');
    }
    return withParts(config, async ({ apiKeys, checkPool }) => {
      const diagnosis = await examine({
        url: url ?? retrieveUrlTemplate(config, apiKeys.accessKey),
        externalId: id,
        externalAccountId: account,
        appId: app ?? (config.hubspotAppId || undefined),
        check: (path) => checkPool.check({ path }, readChannels(channels)),
      });
      print(json ? JSON.stringify(diagnosis, null, 2) : formatDiagnosis(diagnosis));
      return diagnosis.met ? exit.done : exit.failed;
    });
  },
};
