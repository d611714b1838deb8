import t from 'tap';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { createSend } from '../../src/hubspot/request.ts';
import { TokenEndpoint } from '../../src/hubspot/token-endpoint.ts';
import { serve } from '../servers/serve.ts';
import { until } from '../until.ts';
import { example, failure } from './setup.ts';

t.test('a redirect of HubSpot is an error, and nothing is sent to its target', async (t) => {
  const received: string[] = [];
  const { url: elsewhere } = await serve(t, (request, response) => {
    received.push(`${request.method} ${request.url}`);
    response.end('{}');
  });
  let status = 0;
  const { url: apiBase } = await serve(t, ({ url }, response) => {
    response.writeHead(status, { location: `${elsewhere}${url}` }).end();
  });

  const options = { portal: '1', apiBase, apiVersion: 'v3', appId: '101' } as const;
  const client = new HubSpotClient({ ...options, accessToken: async () => 'se-cret' });
  const withKey = new HubSpotClient({
    ...options,
    accessToken: async () => 'se-cret',
    developerKey: 'dev-key',
  });
  const tokens = new TokenEndpoint({
    send: createSend({ apiBase }),
    path: '/oauth/2026-03/token',
    clientId: 'id',
    clientSecret: 'client-se-cret',
  });
  const attempts: Record<string, () => Promise<unknown>> = {
    'log the call': () => client.createCall(example),
    'read the call': () => client.getCall('1', ['hs_timestamp']),
    'mark the recording ready': () => client.markReady('1'),
    'read the recording settings': () => client.readRecordingUrl(),
    'register the recording URL': () => withKey.registerRecordingUrl('https://gateway.example/%s'),
    'exchange the authorization code': () => tokens.exchange('code', 'https://gateway.example/', 'verifier'),
    'renew the access token': () => tokens.refresh('refresh-token'),
    'look up the account of the access token': () => tokens.portalOf('se-cret'),
    'revoke the installation': () => tokens.revoke('refresh-token'),
  };
  for (status of [301, 302, 303, 307, 308]) {
    for (const [doing, attempt] of Object.entries(attempts)) {
      const error = await failure(attempt());
      const name = `${status} to the request to ${doing}`;
      // The request may have had its effect, so the outbox searches for its call before it logs it again.
      t.match(error, { status, category: 'REDIRECTED', retriable: true, outcomeUnknown: true }, name);
      t.match(
        error.message,
        new RegExp(`redirected the request to ${doing} to ${elsewhere} \\(${status}\\)`),
      );
      t.notMatch(error.message, /dev-key|se-cret/, 'the sentence holds no secret');
    }
  }
  t.same(received, []);
});

t.test('a late response is abandoned with its connection', async (t) => {
  const { url: apiBase, sockets } = await serve(t, () => {});
  const send = createSend({ apiBase, deadlineMs: 100 });
  const error = await failure(send({ doing: 'read the call', method: 'GET', path: '/call' }));
  t.match(error, { category: 'TIMEOUT', outcomeUnknown: true });
  await until(() => sockets.size === 0);
  t.pass('the connection is closed');
});
