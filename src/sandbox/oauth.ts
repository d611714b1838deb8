import { createHash, randomBytes } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { SandboxOptions } from './hubspot.ts';
import { Refusal, refused } from './refusal.ts';
import type { World } from './world.ts';

interface Grant {
  portalId: number;
  redirectUri: string;
  challenge: string | undefined;
}

/**
 * HubSpot's OAuth: the authorization page grants at once, for the account named by `portal` or the first
 * one; tokens come from the 2026-03 endpoint and, until it is switched off, from v1.
 */
export function oauthRoutes(app: FastifyInstance, world: World, options: SandboxOptions): void {
  const {
    clientId = 'sandbox-client',
    clientSecret = 'sandbox-secret',
    tokenSeconds = 1800,
  } = options.oauth ?? {};
  const codes = new Map<string, Grant>();
  /** By refresh token: the account. */
  const refreshTokens = new Map<string, number>();

  app.get('/oauth/authorize', (request, reply) => {
    const query = request.query as Record<string, string | undefined>;
    if (query.client_id !== clientId) throw refused(400, 'BAD_CLIENT_ID', 'This client id is not known.');
    const redirect = URL.parse(query.redirect_uri ?? '');
    if (!redirect) throw refused(400, 'BAD_REDIRECT_URI', 'The redirect URI is not a URL.');
    const portalId = Number(query.portal) || [...world.accounts.keys()][0]!;
    if (!world.accounts.has(portalId)) throw refused(400, 'VALIDATION_ERROR', 'There is no such account.');
    const code = randomBytes(18).toString('base64url');
    if (codes.size >= 1_000) codes.clear();
    codes.set(code, { portalId, redirectUri: query.redirect_uri!, challenge: query.code_challenge });
    world.uninstalled.delete(portalId);
    redirect.searchParams.set('code', code);
    if (query.state !== undefined) redirect.searchParams.set('state', query.state);
    reply.redirect(redirect.href);
  });

  const endpoints = options.oauth?.onlyV1 ? ['/oauth/v1/token'] : ['/oauth/2026-03/token', '/oauth/v1/token'];
  for (const endpoint of endpoints) {
    app.post(endpoint, (request, reply) => {
      const form = clientForm(request.body);
      const portalId = form.grant_type === 'refresh_token' ? portalOfRefresh(form) : portalOfCode(form);
      const refreshToken = form.refresh_token ?? randomBytes(24).toString('base64url');
      if (refreshTokens.size >= 1_000) refreshTokens.clear();
      refreshTokens.set(refreshToken, portalId);
      reply.send({
        token_type: 'bearer',
        token_use: 'access_token',
        access_token: world.issueToken(portalId, tokenSeconds),
        refresh_token: refreshToken,
        expires_in: tokenSeconds,
        ...(!options.oauth?.hubIdLeftOut && { hub_id: portalId }),
        scopes: world.accounts.get(portalId)?.scopes ?? [],
      });
    });
  }

  app.post('/oauth/2026-03/token/introspect', (request, reply) => {
    const { token = '' } = clientForm(request.body);
    const issued = world.tokens.get(token);
    if (!issued) throw refused(400, 'BAD_ACCESS_TOKEN', 'This access token is not known.');
    reply.send({
      active: true,
      token,
      token_type: 'bearer',
      token_use: 'access_token',
      hub_id: issued.portalId,
    });
  });

  app.post('/oauth/2026-03/token/revoke', (request, reply) => {
    const { token = '' } = clientForm(request.body);
    refreshTokens.delete(token);
    world.tokens.delete(token);
    reply.code(204).send();
  });

  function clientForm(body: unknown): Record<string, string | undefined> {
    const form = body as Record<string, string | undefined>;
    if (form.client_id !== clientId || form.client_secret !== clientSecret) {
      throw refused(400, 'BAD_CLIENT_SECRET', 'The client id and secret do not belong together.');
    }
    return form;
  }

  function portalOfCode(form: Record<string, string | undefined>): number {
    const grant = codes.get(form.code ?? '');
    codes.delete(form.code ?? '');
    const challenge = createHash('sha256')
      .update(form.code_verifier ?? '')
      .digest('base64url');
    const proven = grant?.challenge === undefined || grant.challenge === challenge;
    if (!grant || grant.redirectUri !== form.redirect_uri || !proven) {
      throw new Refusal(400, 'missing or unknown auth code', {
        category: 'BAD_AUTH_CODE',
        status: 'BAD_AUTH_CODE',
      });
    }
    return grant.portalId;
  }

  function portalOfRefresh(form: Record<string, string | undefined>): number {
    const portalId = refreshTokens.get(form.refresh_token ?? '');
    if (portalId === undefined || world.uninstalled.has(portalId)) {
      const members = { category: 'BAD_REFRESH_TOKEN', status: 'BAD_REFRESH_TOKEN' };
      throw new Refusal(400, 'missing or unknown refresh token', members);
    }
    return portalId;
  }
}
