import type { ApiVersion } from '../settings/hubspot-versions.ts';
import { HubSpotClient } from './client.ts';
import { HubSpotError } from './error.ts';
import type { Installations } from './installations.ts';
import { accountLimits } from './limiter.ts';

export interface AccountsOptions {
  apiBase: string;
  apiVersion: ApiVersion;
  appId: string;
  developerKey?: string | undefined;
  /** A token of the settings: serves every account that no installation serves. */
  accessToken?: string | undefined;
  /** Left out where OAuth is not set up. */
  installations?: Installations | undefined;
}

/** Finds the HubSpot account that serves an account of the phone system, and speaks for it. */
export class Accounts {
  readonly #options: AccountsOptions;
  /** One for each HubSpot account, so that everything said to it shares its limits; `0` has the settings' token. */
  readonly #clients = new Map<number, HubSpotClient>();

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /** @throws HubSpotError `NOT_CONNECTED` */
  async clientFor(accountId: string): Promise<HubSpotClient> {
    const { installations, accessToken } = this.#options;
    const portalId = await installations?.portalOf(accountId);
    if (portalId !== undefined) {
      return this.#client(portalId, (refused) => installations!.accessToken(portalId, refused));
    }
    if (accessToken) return this.#client(0, async () => accessToken);
    const repair = installations
      ? `open /oauth/install?accountId=${encodeURIComponent(accountId)}`
      : 'set PLAYHEAD_HUBSPOT_ACCESS_TOKEN, or PLAYHEAD_HUBSPOT_CLIENT_ID and PLAYHEAD_HUBSPOT_CLIENT_SECRET';
    throw new HubSpotError(`Account "${accountId}" is not connected to HubSpot: ${repair}.`, {
      category: 'NOT_CONNECTED',
    });
  }

  #client(portalId: number, accessToken: (refused?: string) => Promise<string>): HubSpotClient {
    const held = this.#clients.get(portalId);
    if (held) return held;
    const client = new HubSpotClient({
      ...this.#options,
      portal: String(portalId),
      accessToken,
      limits: accountLimits(),
    });
    this.#clients.set(portalId, client);
    return client;
  }
}
