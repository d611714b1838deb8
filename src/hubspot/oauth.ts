import { createHash, randomBytes } from 'node:crypto';
import type { Vault } from '../access/vault.ts';
import { Problem } from '../errors.ts';
import { HubSpotError } from './error.ts';
import type { Installations } from './installations.ts';
import type { TokenEndpoint } from './token-endpoint.ts';

export interface OAuthOptions {
  vault: Vault;
  endpoint: TokenEndpoint;
  installations: Installations;
  clientId: string;
  /** HubSpot's page on which an administrator grants the scopes. */
  authorizeUrl: string;
  /** `<public URL>/oauth/callback`, as registered in the app. */
  redirectUri: string;
}

/** The `state` of RFC 6749 §4.1.1. The vault seals it before the browser gets it. */
interface State {
  accountIds: string[];
  verifier: string;
  /** Hash of the secret that `begin` gave to the browser: no other browser can use the state. */
  browser: string;
  expiresAt: number;
}

const scopes = ['oauth', 'crm.objects.contacts.read', 'crm.objects.contacts.write'];
/** Requested, but the app works without them. */
const optionalScopes = [
  'developers-read',
  'developers-write',
  'crm.extensions_calling_transcripts.read',
  'crm.extensions_calling_transcripts.write',
];
export const stateLifetimeMs = 15 * 60_000;

/** URL of the authorization page that belongs to an API: HubSpot's or the sandbox's. */
export function authorizeUrlOf(apiBase: string): string {
  const api = new URL(apiBase);
  return api.hostname.endsWith('.hubapi.com')
    ? 'https://app.hubspot.com/oauth/authorize'
    : `${apiBase}/oauth/authorize`;
}

/**
 * Installs the app in portals: RFC 6749 §4.1 with PKCE (RFC 7636). `state` holds the accounts of the phone system
 * that the installation will serve and the PKCE verifier, sealed by the vault, so any process can complete what
 * another began.
 */
export class OAuth {
  readonly #options: OAuthOptions;

  constructor(options: OAuthOptions) {
    this.#options = options;
  }

  /**
   * Begins an installation.
   *
   * @param accountIds the accounts of the phone system that the portal will serve
   * @returns the URL to send the browser to, and a secret to keep in that browser until `complete`
   */
  async begin(accountIds: string[]): Promise<{ url: string; browser: string }> {
    const { clientId, redirectUri, authorizeUrl, vault } = this.#options;
    const [verifier, browserSecret] = [random(), random()];
    const state: State = {
      accountIds,
      verifier,
      browser: hash(browserSecret),
      expiresAt: Date.now() + stateLifetimeMs,
    };
    const query = new URLSearchParams({
      client_id: clientId,
      redirect_uri: redirectUri,
      scope: scopes.join(' '),
      optional_scope: optionalScopes.join(' '),
      state: await vault.seal(JSON.stringify(state)),
      code_challenge: hash(verifier),
      code_challenge_method: 'S256',
    });
    return { url: `${authorizeUrl}?${query}`, browser: browserSecret };
  }

  /**
   * Exchanges the code that the browser brought back from HubSpot, and stores the installation.
   *
   * @returns the portal, and all accounts of the phone system that it serves now
   * @throws Problem `invalid_request` if the state is too old or from another browser, or if HubSpot rejects the
   *   code; HubSpotError if HubSpot cannot be reached
   */
  async complete(callback: {
    code: string;
    state: string;
    browser: string;
  }): Promise<{ portalId: number; accountIds: string[] }> {
    const { endpoint, installations, redirectUri } = this.#options;
    const { accountIds, verifier } = await this.#stateOf(callback);
    const tokens = await endpoint.exchange(callback.code, redirectUri, verifier).catch((error: unknown) => {
      if (!(error instanceof HubSpotError) || error.retriable) throw error;
      throw new Problem('invalid_request', error.message, { cause: error });
    });
    const portalId = tokens.portalId ?? (await endpoint.portalOf(tokens.accessToken));
    return { portalId, accountIds: await installations.keep(portalId, tokens, accountIds) };
  }

  async #stateOf({ state: sealed, browser }: { state: string; browser: string }): Promise<State> {
    const stale = new Problem(
      'invalid_request',
      'This installation began in another browser or too long ago. Begin again.',
    );
    const state: State = await this.#options.vault.open(sealed).then(JSON.parse, () => {
      throw stale;
    });
    if (state.browser !== hash(browser) || state.expiresAt < Date.now()) throw stale;
    return state;
  }
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}
