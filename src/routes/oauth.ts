import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ApiKeys } from '../access/api-keys.ts';
import { Problem } from '../errors.ts';
import { HubSpotError } from '../hubspot/error.ts';
import type { OAuth } from '../hubspot/oauth.ts';
import type { Outbox } from '../publishing/outbox.ts';
import { isId } from '../recordings/recording.ts';
import type { Config } from '../settings/config.ts';
import { callbackRoute, installRoute, oauthPath } from '../urls.ts';

const cookie = 'playhead_install';
const mostAccounts = 100;

/**
 * `GET /oauth/install?accountId=…` (repeatable) sends an operator to HubSpot, `GET /oauth/callback` is where
 * HubSpot sends them back. Whoever installs decides where an account's calls are logged: that takes an API
 * key, which a browser asks for as the password of HTTP Basic (RFC 7617).
 *
 * Once an account is connected, what could not be published before is tried again: most often that was why.
 */
export function oauthRoutes(
  app: FastifyInstance,
  parts: { oauth: OAuth; apiKeys: ApiKeys; config: Config; outbox: Outbox },
): void {
  const { oauth, apiKeys, config, outbox } = parts;
  const secure = config.publicUrl.startsWith('https:') ? '; Secure' : '';
  const path = oauthPath(config.publicUrl);
  const cookieOf = (value: string, seconds: number) =>
    `${cookie}=${value}; Path=${path}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;

  app.get<{ Querystring: { accountId?: string | string[] } }>(installRoute, async (request, reply) => {
    reply.header('WWW-Authenticate', 'Basic realm="Playhead: an API key as the password"');
    apiKeys.verify(bearerOf(request));
    reply.removeHeader('WWW-Authenticate');
    const { url, browser } = await oauth.begin(accountIdsOf(request.query.accountId));
    return reply
      .header('Set-Cookie', cookieOf(browser, 900))
      .header('Cache-Control', 'no-store')
      .header('Referrer-Policy', 'no-referrer')
      .redirect(url);
  });

  app.get<{ Querystring: { code?: string; state?: string; error?: string } }>(
    callbackRoute,
    async (request, reply) => {
      const { code, state, error } = request.query;
      if (error !== undefined)
        throw new Problem('invalid_request', 'HubSpot did not grant the installation.');
      if (typeof code !== 'string' || typeof state !== 'string') {
        throw new Problem('invalid_request', '"code" and "state" are needed, as HubSpot sends them.');
      }
      const browser = browserOf(request);
      const { portalId, accountIds } = await oauth
        .complete({ code, state, browser })
        .catch((cause: unknown) => {
          throw cause instanceof HubSpotError
            ? new Problem('busy', cause.message, { cause, retryAfter: 5 })
            : cause;
        });
      const retried = await outbox.retryDead(accountIds);
      const again =
        retried > 0 ? ` Of their recordings ${retried} could not be published and are tried again.` : '';
      return reply
        .header('Set-Cookie', cookieOf('', 0))
        .header('Cache-Control', 'no-store')
        .header('Referrer-Policy', 'no-referrer')
        .type('text/plain; charset=utf-8')
        .send(
          `HubSpot account ${portalId} is connected and serves ${accountIds.join(', ')}.${again} You may close this window.\n`,
        );
    },
  );
}

/** The API key, from `Bearer` or from the password of `Basic`, as `ApiKeys` takes it. */
function bearerOf({ headers: { authorization } }: FastifyRequest): string | undefined {
  const basic = /^basic +([A-Za-z0-9+/=]{1,4096}) *$/i.exec(authorization ?? '')?.[1];
  if (basic === undefined) return authorization;
  const credentials = Buffer.from(basic, 'base64').toString();
  return `Bearer ${credentials.slice(credentials.indexOf(':') + 1)}`;
}

function accountIdsOf(given: string | string[] | undefined): string[] {
  const accountIds = [given ?? []].flat();
  if (accountIds.length === 0 || accountIds.length > mostAccounts || !accountIds.every(isId)) {
    throw new Problem('invalid_request', `"accountId" must name 1 to ${mostAccounts} accounts.`);
  }
  return accountIds;
}

function browserOf({ headers }: FastifyRequest): string {
  return new RegExp(`(?:^|;\\s*)${cookie}=([\\w-]{1,100})`).exec(headers.cookie ?? '')?.[1] ?? '';
}
