import type { ApiVersion } from '../settings/hubspot-versions.ts';
import { HubSpotClient } from './client.ts';
import { HubSpotError } from './error.ts';
import type { Installations } from './installations.ts';
import { portalLimits } from './limiter.ts';

export interface AccountsOptions {
  apiBase: string;
  apiVersion: ApiVersion;
  appId: string;
  developerKey?: string | undefined;
  /** The token in the settings. It serves every account without an installation. */
  accessToken?: string | undefined;
  /** Undefined if OAuth is not set up. */
  installations?: Installations | undefined;
}

/** Finds the portal that serves an account of the phone system, and its client. */
export class Accounts {
  readonly #options: AccountsOptions;
  /** One client for each portal, so that all requests share its rate limits. `0` stands for the settings' token. */
  readonly #clients = new Map<number, HubSpotClient>();

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /** @throws HubSpotError `NOT_CONNECTED` */
  async clientFor(accountId: string): Promise<HubSpotClient> {
    const { installations, accessToken } = this.#options;
    const portalId = await installations?.portalOf(accountId);
    if (portalId !== undefined) {
      return this.#client(portalId, (rejected) => installations!.accessToken(portalId, rejected));
    }
    if (accessToken) return this.#client(0, async () => accessToken);
    const remedy = installations
      ? `open /oauth/install?accountId=${encodeURIComponent(accountId)}`
      : 'set PLAYHEAD_HUBSPOT_ACCESS_TOKEN, or PLAYHEAD_HUBSPOT_CLIENT_ID and PLAYHEAD_HUBSPOT_CLIENT_SECRET';
    throw new HubSpotError(`Account "${accountId}" is not connected to HubSpot: ${remedy}.`, {
      category: 'NOT_CONNECTED',
    });
  }

  #client(portalId: number, accessToken: (rejected?: string) => Promise<string>): HubSpotClient {
    const held = this.#clients.get(portalId);
    if (held) return held;
    const client = new HubSpotClient({
      ...this.#options,
      portal: String(portalId),
      accessToken,
      limits: portalLimits(),
    });
    this.#clients.set(portalId, client);
    return client;
  }
}
