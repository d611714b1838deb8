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
  /** HubSpot's page where somebody with the right to do so grants the scopes. */
  authorizeUrl: string;
  /** `<public URL>/oauth/callback`, registered in the app. */
  redirectUri: string;
}

/** What an installation in progress carries through the browser, sealed. */
interface State {
  accountIds: string[];
  verifier: string;
  /** Ties the state to the browser that began. */
  browser: string;
  expiresAt: number;
}

const scopes = ['oauth', 'crm.objects.contacts.read', 'crm.objects.contacts.write'];
/** Asked for, and done without where the app does not have them. */
const optionalScopes = [
  'developers-read',
  'developers-write',
  'crm.extensions_calling_transcripts.read',
  'crm.extensions_calling_transcripts.write',
];
const patience = 15 * 60_000;

/** The authorization page that belongs to an API: HubSpot's, or the sandbox's own. */
export function authorizeUrlOf(apiBase: string): string {
  const api = new URL(apiBase);
  return api.hostname.endsWith('.hubapi.com')
    ? 'https://app.hubspot.com/oauth/authorize'
    : `${apiBase}/oauth/authorize`;
}

/**
 * Installs the app in HubSpot accounts: RFC 6749 §4.1 with PKCE (RFC 7636). The accounts of the phone
 * system which the installation is to serve travel in `state`, sealed by the vault together with the PKCE
 * verifier, so that any process can finish what another began.
 */
export class OAuth {
  readonly #options: OAuthOptions;

  constructor(options: OAuthOptions) {
    this.#options = options;
  }

  /**
   * Where to send the browser of whoever installs.
   *
   * @param accountIds the accounts of the phone system which the HubSpot account is to serve
   * @returns the URL, and a secret to leave in that browser until `complete`
   */
  async begin(accountIds: string[]): Promise<{ url: string; browser: string }> {
    const { clientId, redirectUri, authorizeUrl, vault } = this.#options;
    const [verifier, browser] = [random(), random()];
    const state: State = { accountIds, verifier, browser: hash(browser), expiresAt: Date.now() + patience };
    const query = new URLSearchParams({
      client_id: clientId,
      redirect_uri: redirectUri,
      scope: scopes.join(' '),
      optional_scope: optionalScopes.join(' '),
      state: await vault.seal(JSON.stringify(state)),
      code_challenge: hash(verifier),
      code_challenge_method: 'S256',
    });
    return { url: `${authorizeUrl}?${query}`, browser };
  }

  /**
   * Exchanges the code that HubSpot sent the browser back with, and keeps the installation.
   *
   * @returns the HubSpot account, and all accounts of the phone system that it serves now
   * @throws Problem `invalid_request` for a state that is not of this browser or too old, or a code that
   *   HubSpot does not take; HubSpotError where HubSpot cannot be asked
   */
  async complete(answer: {
    code: string;
    state: string;
    browser: string;
  }): Promise<{ portalId: number; accountIds: string[] }> {
    const { endpoint, installations, redirectUri } = this.#options;
    const { accountIds, verifier } = await this.#stateOf(answer);
    const tokens = await endpoint.exchange(answer.code, redirectUri, verifier).catch((error: unknown) => {
      if (!(error instanceof HubSpotError) || error.retriable) throw error;
      throw new Problem('invalid_request', error.message, { cause: error });
    });
    const portalId = tokens.portalId ?? (await endpoint.portalOf(tokens.accessToken));
    return { portalId, accountIds: await installations.keep(portalId, tokens, accountIds) };
  }

  async #stateOf({ state: sealed, browser }: { state: string; browser: string }): Promise<State> {
    const stale = new Problem(
      'invalid_request',
      'This installation was not begun in this browser, or too long ago: begin again.',
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
