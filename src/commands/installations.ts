import type { Installation } from '../hubspot/installations.ts';
import { type Command, exitCode, flag, print, UsageError, withParts } from './command.ts';

export const installations: Command = {
  maxArgs: 2,
  options: { json: flag('For list: print JSON.') },

  run: ({ args: [action = 'list', portal], options, config }) =>
    withParts(config, async ({ hubspot: { installations } }) => {
      if (!installations) {
        throw new UsageError(
          'PLAYHEAD_HUBSPOT_CLIENT_ID and PLAYHEAD_HUBSPOT_CLIENT_SECRET are missing: installations need both.',
        );
      }
      if (action === 'list' && !portal) {
        const all = await installations.list();
        print(options.json ? JSON.stringify(all, null, 2) : table(all));
      } else if (action === 'revoke' && portal && /^\d{1,15}$/.test(portal)) {
        await installations.revoke(Number(portal));
        print(`Access to HubSpot account ${portal} was revoked; nothing will be published to it.`);
      } else {
        throw new UsageError(
          'Use installations list or installations revoke PORTAL. PORTAL is the number of a HubSpot account.',
        );
      }
      return exitCode.done;
    }),
};

function table(all: Installation[]): string {
  if (all.length === 0) {
    return 'No HubSpot account has installed the app. Open /oauth/install?accountId=ID on the gateway to install it.';
  }
  const rows = all.map(({ portalId, accountIds, installedAt, lost }) => {
    const accounts = accountIds.join(', ') || 'no account';
    return [portalId, installedAt.toISOString(), accounts, lost ?? ''].join('  ');
  });
  return rows.join('\n');
}
