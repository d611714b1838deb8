import { createHash, randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { ApiError, apiError, validationError } from './api-error.ts';
import { pathsOf } from './paths.ts';
import type { World } from './world.ts';

export interface OAuthOptions {
  /** Default: `sandbox-client` and `sandbox-secret`. */
  clientId?: string;
  clientSecret?: string;
  /** Lifetime of an access token. Default: 1800. */
  tokenSeconds?: number;
  /** Serves the v1 token endpoint only. */
  onlyV1?: boolean;
  /** Leaves `hub_id` out of the token response. */
  hubIdLeftOut?: boolean;
}

interface Grant {
  portalId: number;
  redirectUri: string;
  challenge: string | undefined;
}

type Form = Record<string, string | undefined>;

const maxCodes = 1_000;
const maxRefreshTokens = 1_000;

/**
 * HubSpot's OAuth. The authorization page grants access without a login, to the portal in the query or to the
 * first one. Tokens come from each version's endpoint and from v1, which HubSpot will switch off.
 */
export function oauthRoutes(app: FastifyInstance, world: World, options: OAuthOptions = {}): void {
  const { clientId = 'sandbox-client', clientSecret = 'sandbox-secret', tokenSeconds = 1800 } = options;
  const codes = new Map<string, Grant>();
  /** Portal id by refresh token. */
  const refreshTokens = new Map<string, number>();

  app.get('/oauth/authorize', (request, reply) => {
    const query = request.query as Form;
    if (query.client_id !== clientId) throw apiError(400, 'BAD_CLIENT_ID', 'The client id is unknown.');
    const redirect = URL.parse(query.redirect_uri ?? '');
    if (!redirect) throw apiError(400, 'BAD_REDIRECT_URI', 'The redirect URI is not a URL.');
    const portalId = Number(query.portal) || [...world.accounts.keys()][0]!;
    if (!world.accounts.has(portalId)) throw validationError('There is no such portal.');
    const code = randomBytes(18).toString('base64url');
    if (codes.size >= maxCodes) codes.clear();
    codes.set(code, { portalId, redirectUri: query.redirect_uri!, challenge: query.code_challenge });
    world.uninstalled.delete(portalId);
    redirect.searchParams.set('code', code);
    if (query.state !== undefined) redirect.searchParams.set('state', query.state);
    reply.redirect(redirect.href);
  });

  for (const path of [...(options.onlyV1 ? [] : pathsOf('token')), '/oauth/v1/token']) {
    app.post(path, (request, reply) => {
      const form = clientForm(request.body);
      const portalId = form.grant_type === 'refresh_token' ? portalOfRefresh(form) : portalOfCode(form);
      const refreshToken = form.refresh_token ?? randomBytes(24).toString('base64url');
      if (refreshTokens.size >= maxRefreshTokens) refreshTokens.clear();
      refreshTokens.set(refreshToken, portalId);
      reply.send({
        token_type: 'bearer',
        token_use: 'access_token',
        access_token: world.issueToken(portalId, tokenSeconds),
        refresh_token: refreshToken,
        expires_in: tokenSeconds,
        ...(!options.hubIdLeftOut && { hub_id: portalId }),
        scopes: world.accounts.get(portalId)?.scopes ?? [],
      });
    });
  }

  for (const path of pathsOf('token')) {
    app.post(`${path}/introspect`, (request, reply) => {
      const { token = '' } = clientForm(request.body);
      const found = world.tokens.get(token);
      if (!found) throw apiError(400, 'BAD_ACCESS_TOKEN', 'The access token is unknown.');
      reply.send({
        active: true,
        token,
        token_type: 'bearer',
        token_use: 'access_token',
        hub_id: found.portalId,
      });
    });

    app.post(`${path}/revoke`, (request, reply) => {
      const { token = '' } = clientForm(request.body);
      refreshTokens.delete(token);
      world.tokens.delete(token);
      reply.code(204).send();
    });
  }

  /** @throws ApiError 400 if the client's credentials are wrong */
  function clientForm(body: unknown): Form {
    const form = body as Form;
    if (form.client_id !== clientId || form.client_secret !== clientSecret) {
      throw apiError(400, 'BAD_CLIENT_SECRET', 'The client id and the client secret do not match.');
    }
    return form;
  }

  function portalOfCode(form: Form): number {
    const grant = codes.get(form.code ?? '');
    codes.delete(form.code ?? '');
    const challenge = createHash('sha256')
      .update(form.code_verifier ?? '')
      .digest('base64url');
    const isVerified = grant?.challenge === undefined || grant.challenge === challenge;
    if (!grant || grant.redirectUri !== form.redirect_uri || !isVerified) {
      const members = { category: 'BAD_AUTH_CODE', status: 'BAD_AUTH_CODE' };
      throw new ApiError(400, 'missing or unknown auth code', members);
    }
    return grant.portalId;
  }

  function portalOfRefresh(form: Form): number {
    const portalId = refreshTokens.get(form.refresh_token ?? '');
    if (portalId === undefined || world.uninstalled.has(portalId)) {
      const members = { category: 'BAD_REFRESH_TOKEN', status: 'BAD_REFRESH_TOKEN' };
      throw new ApiError(400, 'missing or unknown refresh token', members);
    }
    return portalId;
  }
}
