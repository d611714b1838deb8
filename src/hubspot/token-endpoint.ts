import { HubSpotError } from './error.ts';
import type { Send } from './request.ts';

/** An access token is valid for 30 minutes. It is renewed at most this long before it expires. */
const maxAheadMs = 5 * 60_000;

/** What HubSpot issues for a code or a refresh token. */
export interface TokenSet {
  accessToken: string;
  refreshToken: string;
  /** Unix milliseconds. */
  expiresAt: number;
  /** The token is renewed this long before it expires, in milliseconds. */
  aheadMs: number;
  /** HubSpot may omit it. */
  portalId: number | undefined;
}

/**
 * HubSpot's OAuth endpoints of one API version. If they respond with 404, the token comes from `v1`, which HubSpot
 * switches off on 2027-02-16. The other requests never use `v1`, because it takes tokens in the path.
 *
 * @throws HubSpotError from every method
 */
export class TokenEndpoint {
  readonly #send: Send;
  readonly #path: string;
  readonly #client: { client_id: string; client_secret: string };

  constructor(options: { send: Send; path: string; clientId: string; clientSecret: string }) {
    this.#send = options.send;
    this.#path = options.path;
    this.#client = { client_id: options.clientId, client_secret: options.clientSecret };
  }

  /** @param verifier PKCE's code verifier (RFC 7636 §4.1) */
  exchange(code: string, redirectUri: string, verifier: string): Promise<TokenSet> {
    const grant = {
      grant_type: 'authorization_code',
      code,
      redirect_uri: redirectUri,
      code_verifier: verifier,
    };
    return this.#token('exchange the authorization code', grant);
  }

  refresh(refreshToken: string): Promise<TokenSet> {
    const grant = { grant_type: 'refresh_token', refresh_token: refreshToken };
    return this.#token('renew the access token', grant);
  }

  /** The portal of an access token. */
  async portalOf(accessToken: string): Promise<number> {
    const reply = await this.#post('look up the account of the access token', `${this.#path}/introspect`, {
      token: accessToken,
      token_type_hint: 'access_token',
    });
    const portalId = (reply as { hub_id?: unknown } | undefined)?.hub_id;
    if (!Number.isSafeInteger(portalId)) throw incomplete('hub_id');
    return portalId as number;
  }

  async revoke(refreshToken: string): Promise<void> {
    const token = { token: refreshToken, token_type_hint: 'refresh_token' };
    await this.#post('revoke the installation', `${this.#path}/revoke`, token);
  }

  async #token(doing: string, grant: Record<string, string>): Promise<TokenSet> {
    const reply = await this.#post(doing, this.#path, grant).catch((error: unknown) => {
      if (error instanceof HubSpotError && error.status === 404)
        return this.#post(doing, '/oauth/v1/token', grant);
      throw error;
    });
    return tokenSetOf(reply, grant.refresh_token);
  }

  #post(doing: string, path: string, form: Record<string, string>): Promise<unknown> {
    return this.#send({ doing, method: 'POST', path, form: { ...form, ...this.#client } });
  }
}

function tokenSetOf(reply: unknown, heldRefreshToken: string | undefined): TokenSet {
  const { access_token, refresh_token, expires_in, hub_id } = (reply ?? {}) as Record<string, unknown>;
  if (typeof access_token !== 'string') throw incomplete('access_token');
  // A renewal may return no new refresh token. The old one then stays valid (RFC 6749 §6).
  const refreshToken = refresh_token ?? heldRefreshToken;
  if (typeof refreshToken !== 'string') throw incomplete('refresh_token');
  if (typeof expires_in !== 'number') throw incomplete('expires_in');
  return {
    accessToken: access_token,
    refreshToken,
    expiresAt: Date.now() + expires_in * 1000,
    aheadMs: Math.min(maxAheadMs, (expires_in * 1000) / 4),
    portalId: Number.isSafeInteger(hub_id) ? (hub_id as number) : undefined,
  };
}

function incomplete(member: string): HubSpotError {
  return new HubSpotError(`HubSpot's response has no ${member}.`, { status: 502, category: 'INVALID_REPLY' });
}
