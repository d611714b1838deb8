import { randomBytes } from 'node:crypto';
import rateLimit from '@fastify/rate-limit';
import fastify from 'fastify';
import t, { type Test } from 'tap';
import { ApiKeys } from '../../src/access/api-keys.ts';
import { Vault } from '../../src/access/vault.ts';
import { Changes } from '../../src/db/changes.ts';
import { openDatabase } from '../../src/db/open.ts';
import { Accounts } from '../../src/hubspot/accounts.ts';
import { HubSpotError } from '../../src/hubspot/error.ts';
import { Installations } from '../../src/hubspot/installations.ts';
import { authorizeUrlOf, OAuth } from '../../src/hubspot/oauth.ts';
import { createSend } from '../../src/hubspot/request.ts';
import { TokenEndpoint, type TokenSet } from '../../src/hubspot/token-endpoint.ts';
import { Outbox } from '../../src/publishing/outbox.ts';
import { createFailures } from '../../src/routes/limits.ts';
import { oauthRoutes } from '../../src/routes/oauth.ts';
import { createSandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts';
import type { Exchange } from '../../src/sandbox/traffic.ts';
import { readConfig } from '../../src/settings/config.ts';
import { HubSpotSpecs, specsMissing } from '../contracts/hubspot-specs.ts';

const redirectUri = 'https://playhead.example/oauth/callback';
const properties = {
  hs_timestamp: '1755866400000',
  hs_call_source: 'INTEGRATIONS_PLATFORM',
  hs_call_external_id: 'call-1',
  hs_call_external_account_id: 'acme',
  hs_call_app_id: '101',
};

const apiKey = randomBytes(32).toString('hex');

async function setUp(test: Test, options: SandboxOptions = {}) {
  const exchanges: Exchange[] = [];
  const accounts = [{ portalId: 4711, appId: '101' }];
  const sandbox = await createSandbox({
    accounts,
    observe: (exchange) => exchanges.push(exchange),
    ...options,
  });
  test.teardown(() => sandbox.close());
  const secretKey = randomBytes(32).toString('base64url');
  const config = readConfig(
    {
      'data-dir': test.testdir(),
      'public-url': 'https://playhead.example',
      'api-keys': apiKey,
    },
    {},
  );
  const send = createSend({ apiBase: sandbox.url, deadlineMs: 2_000 });

  /** The parts of one process of the gateway. */
  async function worker() {
    const db = await openDatabase(config.databaseUrl);
    const vault = await Vault.open({ db, config: { secretKey, dataDir: '' } });
    const changes = await Changes.open(db);
    test.teardown(async () => {
      await changes.close();
      await db.close();
    });
    const endpoint = new TokenEndpoint({
      send,
      path: '/oauth/2026-03/token',
      clientId: 'sandbox-client',
      clientSecret: 'sandbox-secret',
    });
    const installations = new Installations({ db, vault, endpoint });
    const authorizeUrl = authorizeUrlOf(sandbox.url);
    const client = { clientId: 'sandbox-client', authorizeUrl, redirectUri };
    const oauth = new OAuth({ vault, endpoint, installations, ...client });
    const apiKeys = await ApiKeys.open({ db, vault, changes, config });
    const app = fastify();
    await app.register(rateLimit, { global: false });
    const failures = createFailures(app);
    const outbox = new Outbox(db);
    oauthRoutes(app, { oauth, apiKeys, config, outbox, failures });
    return { db, vault, installations, app, outbox };
  }
  const first = await worker();

  /** Follows the browser from the install link to the page that HubSpot sends it back to. */
  async function install(query = 'accountId=acme', browserCookie?: string) {
    const authorization = `Basic ${Buffer.from(`operator:${apiKey}`).toString('base64')}`;
    const redirect = await first.app.inject({ url: `/oauth/install?${query}`, headers: { authorization } });
    const grant = await fetch(redirect.headers.location!, { redirect: 'manual' });
    const cookie = browserCookie ?? String(redirect.headers['set-cookie']).split(';')[0]!;
    const { pathname, search } = new URL(grant.headers.get('location')!);
    return first.app.inject({ url: pathname + search, headers: { cookie } });
  }
  const tokenRequests = () => exchanges.filter(({ path }) => path.endsWith('/token'));
  return { sandbox, exchanges, worker, install, tokenRequests, ...first };
}

/** Makes the token in the database look older. */
async function age(db: Awaited<ReturnType<typeof openDatabase>>, expiresInMs: number) {
  await db.kysely
    .updateTable('installations')
    .set({ expires_at: Date.now() + expiresInMs })
    .execute();
}

t.test('an operator installs, and the portal serves the named accounts', async (t) => {
  const { sandbox, exchanges, db, install, installations } = await setUp(t);
  const page = await install('accountId=acme&accountId=beta');
  t.equal(page.statusCode, 200);
  t.match(page.body, /HubSpot account 4711 is connected and serves acme, beta/);
  t.match(await installations.list(), [{ portalId: 4711, accountIds: ['acme', 'beta'], lost: null }]);

  const options = { apiBase: sandbox.url, apiVersion: '2026-03', appId: '101', installations } as const;
  const accounts = new Accounts(options);
  const client = await accounts.clientFor('acme');
  t.equal(await client.createCall(properties), '17591596434');
  t.equal(await accounts.clientFor('beta'), client, 'one client, and so one limit, for one HubSpot account');
  await t.rejects(accounts.clientFor('gamma'), {
    category: 'NOT_CONNECTED',
    message: /\/oauth\/install\?accountId=gamma/,
  });

  const stored = JSON.stringify(await db.kysely.selectFrom('installations').selectAll().execute());
  for (const token of sandbox.world.tokens.keys()) t.notOk(stored.includes(token), 'sealed at rest');
  t.notOk(
    exchanges.some(({ path, query }) => /token=|secret/.test(path + JSON.stringify(query))),
    'nothing secret in a URL',
  );
});

t.test('requests and responses match HubSpot’s specifications', { skip: specsMissing }, async (t) => {
  const { exchanges, db, install, installations } = await setUp(t);
  await install();
  await age(db, 0);
  await installations.accessToken(4711);
  await installations.revoke(4711);
  const specs = new HubSpotSpecs();
  const api = exchanges.filter(({ path }) => path.startsWith('/oauth/2026-03'));
  t.equal(api.length, 3);
  t.same(
    api.flatMap((exchange) => specs.violations(exchange)),
    [],
  );
});

t.test('nobody installs without an API key', async (t) => {
  const { app } = await setUp(t);
  for (const authorization of [
    undefined,
    'Bearer wrong',
    `Basic ${Buffer.from('key:').toString('base64')}`,
  ]) {
    const { statusCode, headers } = await app.inject({
      url: '/oauth/install?accountId=acme',
      headers: authorization ? { authorization } : {},
    });
    t.equal(statusCode, 401);
    t.match(headers['www-authenticate'], /^Basic /);
  }
  const headers = { authorization: `Bearer ${apiKey}` };
  t.equal((await app.inject({ url: '/oauth/install', headers })).statusCode, 400);
  const { headers: sent, statusCode } = await app.inject({ url: '/oauth/install?accountId=a', headers });
  t.equal(statusCode, 302);
  t.match(sent['set-cookie'], /; HttpOnly; SameSite=Lax; Secure$/);
  t.match(new URL(sent.location!).searchParams.get('code_challenge_method'), 'S256');
});

t.test('a callback is rejected', async (t) => {
  const { app, install, installations } = await setUp(t);
  t.equal(
    (await install('accountId=acme', 'playhead_install=another')).statusCode,
    400,
    'in another browser',
  );
  const cases = {
    'without a code': '?state=x',
    'with a forged state': '?code=a&state=x',
    'after the operator declined': '?error=access_denied',
  };
  for (const [name, query] of Object.entries(cases)) {
    t.equal((await app.inject({ url: `/oauth/callback${query}` })).statusCode, 400, name);
  }
  t.same(await installations.list(), []);
});

t.test('a token is renewed before it expires, once for all processes', async (t) => {
  const { db, install, installations, worker, tokenRequests } = await setUp(t);
  await install();
  const before = await installations.accessToken(4711);
  t.equal(tokenRequests().length, 1, 'for the code');
  await age(db, 60_000);
  const others = await Promise.all([worker(), worker()]);
  const requested = others.flatMap((other) =>
    Array.from({ length: 5 }, () => other.installations.accessToken(4711)),
  );
  const tokens = await Promise.all(requested);
  t.equal(tokenRequests().length, 2, 'one renewal');
  // A process that does not renew the token uses the old one, which is still valid.
  t.equal(new Set([...tokens, before]).size, 2);

  await age(db, -1);
  const late = await Promise.all([worker(), worker()]);
  const waited = await Promise.all(late.map((other) => other.installations.accessToken(4711)));
  t.equal(tokenRequests().length, 3);
  t.equal(new Set(waited).size, 1, 'without a valid token a process waits for the new one');
});

t.test('a token that is valid for a minute is not renewed at each request', async (t) => {
  const { install, installations, tokenRequests } = await setUp(t, { oauth: { tokenSeconds: 60 } });
  await install();
  for (let request = 0; request < 3; request++) await installations.accessToken(4711);
  t.equal(tokenRequests().length, 1);
});

t.test('HubSpot fails while a token is renewed: the old one is used until it expires', async (t) => {
  const { sandbox, db, install, installations, worker } = await setUp(t);
  await install();
  const held = await installations.accessToken(4711);
  sandbox.faults.replace([{ kind: 'error', on: 'token' }]);
  await age(db, 60_000);
  t.equal(await (await worker()).installations.accessToken(4711), held);
  await age(db, -1);
  await t.rejects((await worker()).installations.accessToken(4711), {
    message: /renew the access token/,
    status: 500,
  });
  sandbox.faults.replace([]);
  t.not(await (await worker()).installations.accessToken(4711), held);
});

t.test('an uninstalled app is reported once, until it is installed again', async (t) => {
  const { sandbox, install, installations, tokenRequests } = await setUp(t);
  await install();
  const accounts = new Accounts({ apiBase: sandbox.url, apiVersion: 'v3', appId: '101', installations });
  sandbox.world.uninstalled.add(4711);
  for (let attempt = 0; attempt < 3; attempt++) {
    const client = await accounts.clientFor('acme');
    const error = await client.createCall(properties).catch((reason: unknown) => reason);
    t.ok(error instanceof HubSpotError);
    t.match(error, { category: 'NOT_CONNECTED', retriable: false, message: /install it there again\.$/ });
  }
  t.equal(tokenRequests().length, 2, 'for the code, and one renewal');
  t.match(await installations.list(), [{ lost: /BAD_REFRESH_TOKEN/ }]);
  await install();
  t.equal(await (await accounts.clientFor('acme')).createCall(properties), '17591596434');
  t.match(await installations.list(), [{ lost: null }]);
});

for (const { name, refresh } of [
  { name: 'rejected', refresh: new HubSpotError('No.', { status: 400, category: 'BAD_REFRESH_TOKEN' }) },
  { name: 'granted', refresh: tokensOf('stale') },
]) {
  t.test(
    `a renewal that is ${name} after the app was installed again does not replace the new tokens`,
    async (t) => {
      const { db, vault } = await setUp(t);
      const [request, response] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const endpoint = {
        async refresh() {
          request.resolve();
          await response.promise;
          if (refresh instanceof HubSpotError) throw refresh;
          return refresh;
        },
      } as unknown as TokenEndpoint;
      const installations = new Installations({ db, vault, endpoint });
      await installations.keep(4711, tokensOf('old'), ['acme']);
      const renewing = installations.accessToken(4711, 'old');
      await request.promise;
      await installations.keep(4711, tokensOf('new'), ['acme']);
      response.resolve();
      t.equal(await renewing, 'new');
      t.equal(await installations.accessToken(4711), 'new');
      t.match(await installations.list(), [{ lost: null }]);
    },
  );
}

for (const { name, refresh } of [
  { name: 'granted', refresh: tokensOf('renewed') },
  { name: 'rejected', refresh: new HubSpotError('No.', { status: 400, category: 'BAD_REFRESH_TOKEN' }) },
]) {
  t.test(`a renewal that is ${name} after the tokens were sealed anew is stored`, async (t) => {
    const { db, vault } = await setUp(t);
    const requests: string[] = [];
    const endpoint = {
      async refresh(refreshToken: string) {
        requests.push(refreshToken);
        const { tokens } = await db.kysely
          .selectFrom('installations')
          .select('tokens')
          .executeTakeFirstOrThrow();
        const sealed = await vault.seal(await vault.open(tokens));
        await db.kysely.updateTable('installations').set({ tokens: sealed }).execute();
        if (refresh instanceof HubSpotError) throw refresh;
        return refresh;
      },
    } as unknown as TokenEndpoint;
    const installations = new Installations({ db, vault, endpoint });
    await installations.keep(4711, tokensOf('old'), ['acme']);
    const renewal = installations.accessToken(4711, 'old');
    if (refresh instanceof HubSpotError) {
      await t.rejects(renewal, { message: /BAD_REFRESH_TOKEN/, category: 'NOT_CONNECTED' });
      t.match(await installations.list(), [{ lost: /BAD_REFRESH_TOKEN/ }]);
    } else {
      t.equal(await renewal, 'renewed');
      const other = new Installations({ db, vault, endpoint });
      t.equal(await other.accessToken(4711), 'renewed', 'in other processes too');
    }
    t.same(requests, ['refresh old']);
  });
}

function tokensOf(accessToken: string): TokenSet {
  const expiresAt = Date.now() + 1_800_000;
  return { accessToken, refreshToken: `refresh ${accessToken}`, expiresAt, aheadMs: 300_000, portalId: 4711 };
}

t.test('v1 issues the token if the 2026-03 endpoint is missing', async (t) => {
  const { install, tokenRequests } = await setUp(t, { oauth: { onlyV1: true } });
  t.equal((await install()).statusCode, 200);
  t.same(
    tokenRequests().map(({ path, status }) => `${path} ${status}`),
    ['/oauth/2026-03/token 404', '/oauth/v1/token 200'],
  );
});

t.test('the portal is requested if the response does not name it', async (t) => {
  const { install, installations } = await setUp(t, { oauth: { hubIdLeftOut: true } });
  t.equal((await install()).statusCode, 200);
  t.equal(await installations.portalOf('acme'), 4711);
});

t.test('revoking revokes the token at HubSpot and removes the installation', async (t) => {
  const { exchanges, install, installations } = await setUp(t);
  await install();
  await installations.revoke(4711);
  t.match(exchanges.at(-1), { path: '/oauth/2026-03/token/revoke', status: 204 });
  t.same(await installations.list(), []);
  t.equal(await installations.portalOf('acme'), undefined);
  await t.rejects(installations.accessToken(4711), { message: /not installed/, category: 'NOT_CONNECTED' });
});

t.test('the authorization page is HubSpot’s for HubSpot’s API', async (t) => {
  t.equal(authorizeUrlOf('https://api.hubapi.com'), 'https://app.hubspot.com/oauth/authorize');
  t.equal(authorizeUrlOf('http://127.0.0.1:1'), 'http://127.0.0.1:1/oauth/authorize');
});
