import type { Installation } from '../hubspot/installations.ts';
import { type Command, exit, flag, print, UsageError, withParts } from './command.ts';

export const installations: Command = {
  words: 2,
  options: { json: flag('list: prints JSON.') },

  run: ({ words: [action = 'list', portal], options, config }) =>
    withParts(config, async ({ hubspot: { installations } }) => {
      if (!installations) {
        throw new UsageError('PLAYHEAD_HUBSPOT_CLIENT_ID and PLAYHEAD_HUBSPOT_CLIENT_SECRET are missing.');
      }
      if (action === 'list' && !portal) {
        const all = await installations.list();
        print(options.json ? JSON.stringify(all, null, 2) : table(all));
      } else if (action === 'revoke' && portal && /^\d{1,15}$/.test(portal)) {
        await installations.revoke(Number(portal));
        print(`HubSpot account ${portal} has its grant back; nothing is published to it any more.`);
      } else
        throw new UsageError('installations takes list, or revoke with the number of a HubSpot account.');
      return exit.done;
    }),
};

function table(all: Installation[]): string {
  if (all.length === 0)
    return 'No HubSpot account has installed the app; /oauth/install?accountId=ID does so.';
  return all
    .map(({ portalId, accountIds, installedAt, lost }) =>
      [portalId, installedAt.toISOString(), accountIds.join(', ') || 'serves no account', lost ?? ''].join(
        '  ',
      ),
    )
    .join('\n');
}
