import { createServer } from 'node:net';
import t, { type Test } from 'tap';
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

/** A client of a server that responds to each request with these bytes. */
async function clientOf(t: Test, accessToken: string, respond: (request: string) => string) {
  const server = createServer((socket) => {
    socket.once('data', (request) => socket.end(respond(String(request))));
  });
  const { url: apiBase } = await listen(t, server);
  const options = { portal: '1', apiBase, apiVersion: 'v3', appId: '1' } as const;
  return new HubSpotClient({ ...options, accessToken: async () => accessToken });
}

t.test('a credential that HubSpot repeats in its error is removed', async (t) => {
  const client = await clientOf(t, 'se-cret', (request) => {
    const token = /Bearer (\S+)/.exec(request)?.[1];
    const body = JSON.stringify({
      message: `The token ${token} is not valid`,
      category: 'VALIDATION_ERROR',
    });
    return `HTTP/1.1 400 Bad Request\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  });
  const error = await failure(client.createCall(example));
  t.match(error.message, /The token … is not valid/);
});

t.test('an HTML page instead of JSON is an error with its status', async (t) => {
  const page = '<html>Bad gateway</html>';
  const head = `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: ${page.length}`;
  const client = await clientOf(t, 'token', () => `${head}\r\n\r\n${page}`);
  t.match(await failure(client.markReady('1')), {
    status: 502,
    category: 'HTTP_502',
    retriable: true,
  });
});

t.test('a response that is not JSON is an error', async (t) => {
  const client = await clientOf(t, 'token', () => 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnone');
  t.match(await failure(client.markReady('1')), { status: 502, category: 'INVALID_REPLY' });
});

t.test(
  'recording settings without a URL: none is registered, and a registration is not acknowledged',
  async (t) => {
    const client = await clientOf(t, 'token', () => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}');
    t.equal(await client.readRecordingUrl(), undefined);
    const error = await failure(client.registerRecordingUrl('https://gateway.example/%s'));
    t.match(error, { category: 'INVALID_REPLY', message: /no urlToRetrieveAuthedRecording/ });
  },
);
