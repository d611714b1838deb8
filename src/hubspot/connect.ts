import type { Vault } from '../access/vault.ts';
import type { Database } from '../db/open.ts';
import type { Config } from '../settings/config.ts';
import { hubspotVersions } from '../settings/hubspot-versions.ts';
import { callbackUrl } from '../urls.ts';
import { Accounts } from './accounts.ts';
import { HubSpotCrm } from './crm.ts';
import { Installations } from './installations.ts';
import { authorizeUrlOf, OAuth } from './oauth.ts';
import { createSend } from './request.ts';
import { TokenEndpoint } from './token-endpoint.ts';

/** HubSpot, as the settings describe it. */
export interface HubSpot {
  crm: HubSpotCrm;
  accounts: Accounts;
  /** Undefined if PLAYHEAD_HUBSPOT_CLIENT_ID or PLAYHEAD_HUBSPOT_CLIENT_SECRET is not set. */
  oauth: OAuth | undefined;
  /** Undefined if `oauth` is. */
  installations: Installations | undefined;
}

export function connectHubSpot({
  config,
  db,
  vault,
}: {
  config: Config;
  db: Database;
  vault: Vault;
}): HubSpot {
  const apiBase = config.hubspotApiBase;
  const { hubspotClientId: clientId, hubspotClientSecret: clientSecret } = config;
  const path = hubspotVersions[config.hubspotApiVersion].token;
  const hasOAuth = clientId !== '' && clientSecret !== '';
  const endpoint = hasOAuth
    ? new TokenEndpoint({ send: createSend({ apiBase }), path, clientId, clientSecret })
    : undefined;
  const installations = endpoint && new Installations({ db, vault, endpoint });
  const oauth =
    endpoint &&
    installations &&
    new OAuth({
      vault,
      endpoint,
      installations,
      clientId,
      authorizeUrl: authorizeUrlOf(apiBase),
      redirectUri: callbackUrl(config.publicUrl),
    });
  const accounts = new Accounts({
    apiBase,
    apiVersion: config.hubspotApiVersion,
    appId: config.hubspotAppId,
    developerKey: config.hubspotDeveloperKey || undefined,
    accessToken: config.hubspotAccessToken || undefined,
    installations,
  });
  return { crm: new HubSpotCrm(accounts, config.hubspotAppId), accounts, oauth, installations };
}
