import { retrieveUrl } from '../routes/retrieve.ts';
import { examine, formatDiagnosis } from '../sandbox/doctor.ts';
import { type Command, exit, flag, print, readChannels, text, withParts } from './command.ts';

export const doctor: Command = {
  usage: 'doctor [URL] --id EXTERNAL_ID',
  says: 'Do what HubSpot does to a recording endpoint, this or any other, and say what it meets. Also: --account ID, --app ID, --channels caller,recipient, --json.',
  options: { id: text, account: text, app: text, channels: text, json: flag },

  run: ({ words: [url], options: { id, account, app, channels, json }, config }) =>
    withParts(config, async ({ access, checker }) => {
      const diagnosis = await examine({
        url: url ?? retrieveUrl(config, access.accessKey),
        externalId: id,
        externalAccountId: account,
        appId: app ?? (config.hubspotAppId || undefined),
        check: (path) => checker.check({ path }, readChannels(channels)),
      });
      print(json ? JSON.stringify(diagnosis, null, 2) : formatDiagnosis(diagnosis));
      return diagnosis.met ? exit.done : exit.failed;
    }),
};
