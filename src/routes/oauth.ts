import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ApiKeys, Caller } from '../access/api-keys.ts';
import { Problem } from '../errors.ts';
import { HubSpotError } from '../hubspot/error.ts';
import { type OAuth, stateLifetimeMs } from '../hubspot/oauth.ts';
import type { Outbox } from '../publishing/outbox.ts';
import { isId } from '../recordings/recording.ts';
import type { Config } from '../settings/config.ts';
import { callbackRoute, installRoute, oauthPath } from '../urls.ts';
import type { Failures } from './limits.ts';
import { requireAccount, requireRole } from './scope.ts';

interface Install {
  Querystring: { accountId?: string | string[] };
}
interface Callback {
  Querystring: { code?: string; state?: string; error?: string };
}

const cookieName = 'playhead_install';
const cookieSeconds = stateLifetimeMs / 1000;
const maxAccounts = 100;

const privateHeaders = { 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer' };

/**
 * `GET /oauth/install?accountId=…` (repeatable) redirects an operator to HubSpot, and HubSpot redirects them back
 * to `GET /oauth/callback`. An installation decides where the calls of an account are logged, so it requires an API
 * key. A browser prompts for the key as the password of HTTP Basic (RFC 7617).
 *
 * Once an account is connected, its dead publications are retried. Most of them died for lack of the connection.
 */
export function oauthRoutes(
  app: FastifyInstance,
  parts: { oauth: OAuth; apiKeys: ApiKeys; config: Config; outbox: Outbox; failures: Failures },
): void {
  const { oauth, apiKeys, config, outbox, failures } = parts;
  const secure = config.publicUrl.startsWith('https:') ? '; Secure' : '';
  const path = oauthPath(config.publicUrl);

  app.get<Install>(installRoute, install);
  app.get<Callback>(callbackRoute, callback);

  async function install(request: FastifyRequest<Install>, reply: FastifyReply) {
    failures.credentials.requireNoPause(request);
    const caller = authenticate(request, reply);
    const accountIds = accountIdsOf(request.query.accountId);
    requireRole(caller);
    for (const accountId of accountIds) requireAccount(caller, accountId);
    const { url, browser: browserSecret } = await oauth.begin(accountIds);
    const setCookie = cookie(browserSecret, cookieSeconds);
    return reply.headers({ ...privateHeaders, 'Set-Cookie': setCookie }).redirect(url);
  }

  async function callback(request: FastifyRequest<Callback>, reply: FastifyReply) {
    const { code, state } = grantOf(request.query);
    const browser = browserSecretOf(request);
    const { portalId, accountIds } = await oauth.complete({ code, state, browser }).catch(throwAsProblem);
    const retried = await outbox.retryDead(accountIds);
    return reply
      .headers({ ...privateHeaders, 'Set-Cookie': cookie('', 0) })
      .type('text/plain; charset=utf-8')
      .send(connectedSentences(portalId, accountIds, retried));
  }

  /** @throws Problem `unauthorized`, with a challenge that makes a browser prompt for the key */
  function authenticate({ headers }: FastifyRequest, reply: FastifyReply): Caller {
    reply.header('WWW-Authenticate', 'Basic realm="Playhead: an API key as the password"');
    const caller = apiKeys.verify(bearerOf(headers.authorization));
    reply.removeHeader('WWW-Authenticate');
    return caller;
  }

  function cookie(value: string, seconds: number): string {
    return `${cookieName}=${value}; Path=${path}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
  }
}

/** Turns HTTP Basic into `Bearer` with the password as the key. Leaves every other header as it is. */
function bearerOf(authorization = ''): string {
  const basic = /^basic +([A-Za-z0-9+/=]{1,4096}) *$/i.exec(authorization)?.[1];
  if (basic === undefined) return authorization;
  const credentials = Buffer.from(basic, 'base64').toString();
  return `Bearer ${credentials.slice(credentials.indexOf(':') + 1)}`;
}

function accountIdsOf(given: string | string[] | undefined): string[] {
  const accountIds = [given ?? []].flat();
  if (accountIds.length === 0 || accountIds.length > maxAccounts || !accountIds.every(isId)) {
    throw new Problem('invalid_request', `"accountId" must name 1 to ${maxAccounts} accounts.`);
  }
  return accountIds;
}

function grantOf({ code, state, error }: Callback['Querystring']): { code: string; state: string } {
  if (error !== undefined) throw new Problem('invalid_request', 'HubSpot did not grant the installation.');
  if (typeof code !== 'string' || typeof state !== 'string')
    throw new Problem('invalid_request', 'The parameters "code" and "state" that HubSpot sends are missing.');
  return { code, state };
}

/** The secret that `install` put into the cookie. Empty if there is none. */
function browserSecretOf({ headers }: FastifyRequest): string {
  return new RegExp(`(?:^|;\\s*)${cookieName}=([\\w-]{1,100})`).exec(headers.cookie ?? '')?.[1] ?? '';
}

/** A failure of HubSpot becomes `busy`, so that the operator tries again. */
function throwAsProblem(error: unknown): never {
  if (error instanceof HubSpotError)
    throw new Problem('busy', error.message, { cause: error, retryAfter: 5 });
  throw error;
}

function connectedSentences(portalId: number, accountIds: string[], retried: number): string {
  return [
    `HubSpot account ${portalId} is connected and serves ${accountIds.join(', ')}.`,
    ...(retried > 0 ? [`${retried} of their failed publications will be retried.`] : []),
    'You may close this window.\n',
  ].join(' ');
}
