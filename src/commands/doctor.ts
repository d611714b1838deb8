import { formatDiagnosis } from '../doctor/diagnosis.ts';
import { examine } from '../doctor/doctor.ts';
import { retrieveUrlTemplate } from '../urls.ts';
import { type Command, exitCode, flag, option, print, UsageError, withParts } from './command.ts';
import { declaredOptions, readChannels } from './declared.ts';

export const doctor: Command = {
  maxArgs: 1,
  options: {
    id: option('EXTERNAL_ID', 'Id of the recording. It replaces %s in the URL.'),
    account: option('ID', 'Send this externalAccountId.'),
    app: option('ID', 'Send this appId. Default: PLAYHEAD_HUBSPOT_APP_ID.'),
    channels: declaredOptions.channels,
    json: flag('Print one JSON object.'),
  },

  run({ args: [url], options: { id, account, app, channels, json }, config }) {
    if (url !== undefined && !(URL.canParse(url) && /^https?:/.test(url))) {
      throw new UsageError(`"${url}" is not an http:// or https:// URL.`);
    }
    if (id === undefined && (url === undefined || url.includes('%s'))) {
      throw new UsageError('The option --id is missing: it names the recording to request.');
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
      return diagnosis.met ? exitCode.done : exitCode.failed;
    });
  },
};
