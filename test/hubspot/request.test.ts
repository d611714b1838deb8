import { createServer } from 'node:net';
import t from 'tap';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { HubSpotSpecs, specsMissing } from '../contracts/hubspot-specs.ts';
import { listen } from '../servers/serve.ts';
import { example, failure, setUp } from './setup.ts';

t.test('failures become one error that says what to do', async (t) => {
  const { sandbox, exchanges, client } = await setUp(t, {
    accounts: [
      { portalId: 1, appId: '101', accessToken: 'sandbox-token' },
      { portalId: 2, appId: '101', accessToken: 'reader', scopes: ['crm.objects.contacts.read'] },
    ],
    numericAppId: true,
  });
  const hubspot = client('2026-03', { deadlineMs: 5_000 });
  const as = (token: string) => client('2026-03', { accessToken: async () => token });
  const numeric = { ...example, hs_call_app_id: '101' };
  const cases: {
    name: string;
    fault?: object;
    attempt: () => Promise<unknown>;
    error: object;
    says: RegExp;
  }[] = [
    {
      name: 'an app id that is not a number, if HubSpot rejects it',
      attempt: () => hubspot.createCall(example),
      error: { status: 400, category: 'VALIDATION_ERROR', retriable: false, outcomeUnknown: false },
      says: /hs_call_app_id INVALID_INTEGER app-101 was not a valid number/,
    },
    {
      name: 'a token that HubSpot does not know',
      attempt: () => as('revoked').createCall(numeric),
      error: { status: 401, category: 'INVALID_AUTHENTICATION', retriable: false },
      says: /connect the account again/,
    },
    {
      name: 'a missing scope',
      attempt: () => as('reader').createCall(numeric),
      error: { status: 403, category: 'MISSING_SCOPES', retriable: false },
      says: /the app lacks crm\.objects\.contacts\.write/,
    },
    {
      name: 'a deleted call',
      attempt: () => hubspot.markReady('5'),
      error: { status: 404, retriable: false },
      says: /mark the recording ready \(404/,
    },
    {
      name: 'a limit',
      fault: { kind: 'limit' },
      attempt: () => hubspot.createCall(numeric),
      error: {
        status: 429,
        category: 'TEN_SECONDLY_ROLLING',
        retriable: true,
        outcomeUnknown: false,
        retryAfterMs: 10_000,
      },
      says: /429/,
    },
    {
      name: 'a server error of HubSpot',
      fault: { kind: 'error' },
      attempt: () => as('sandbox-token').createCall(numeric),
      error: { status: 500, retriable: true, outcomeUnknown: true },
      says: /log the call \(500 INTERNAL_ERROR\)/,
    },
    {
      name: 'a broken connection',
      fault: { kind: 'reset' },
      attempt: () => as('sandbox-token').createCall(numeric),
      error: { status: 0, category: 'NETWORK', retriable: true, outcomeUnknown: true },
      says: /broke during the request to log the call/,
    },
    {
      name: 'no response',
      fault: { kind: 'silence' },
      attempt: () => client('v3', { deadlineMs: 200 }).createCall(numeric),
      error: { status: 0, category: 'TIMEOUT', retriable: true, outcomeUnknown: true },
      says: /within 200 ms/,
    },
  ];
  for (const { name, fault, attempt, error, says } of cases) {
    sandbox.faults.replace(fault ? [fault as never] : []);
    const seen = await failure(attempt());
    t.match(seen, error, name);
    t.match(seen.message, says, `${name}: ${seen.message}`);
  }
  await t.test('and HubSpot specifies such responses', { skip: specsMissing }, async (t) => {
    const specs = new HubSpotSpecs();
    t.same(
      exchanges.flatMap((exchange) => specs.violations(exchange)),
      [],
    );
  });
});

t.test('a credential that HubSpot repeats in its error is removed', async (t) => {
  const server = createServer((socket) => {
    socket.once('data', (request) => {
      const token = /Bearer (\S+)/.exec(String(request))?.[1];
      const body = JSON.stringify({
        message: `The token ${token} is not valid`,
        category: 'VALIDATION_ERROR',
      });
      socket.end(`HTTP/1.1 400 Bad Request\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
  });
  const { url: apiBase } = await listen(t, server);
  const options = {
    portal: '1',
    apiBase,
    apiVersion: 'v3',
    appId: '1',
    accessToken: async () => 'se-cret',
  } as const;
  const error = await failure(new HubSpotClient(options).createCall(example));
  t.match(error.message, /The token … is not valid/);
});

t.test('an HTML page instead of JSON is an error with its status', async (t) => {
  const page = '<html>Bad gateway</html>';
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.end(
        `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: ${page.length}\r\n\r\n${page}`,
      );
    });
  });
  const { url: apiBase } = await listen(t, server);
  const options = {
    portal: '1',
    apiBase,
    apiVersion: 'v3',
    appId: '1',
    accessToken: async () => 'token',
  } as const;
  t.match(await failure(new HubSpotClient(options).markReady('1')), {
    status: 502,
    category: 'HTTP_502',
    retriable: true,
  });
});
