import t from 'tap';
import { spawnGateway } from './gateway.ts';
import { ended } from './processes.ts';

t.test('the log of a whole run has no token and no key', async (t) => {
  const gateway = await spawnGateway(t, { 'log-level': 'trace' });
  const { url, apiKey, child } = gateway;
  const authorization = `Bearer ${apiKey}`;

  const authenticatedUrl = await gateway.streamOf('inbound-caller1.wav', { accountId: 'a', externalId: 'b' });
  const token = authenticatedUrl.slice(authenticatedUrl.lastIndexOf('/') + 1);
  const wrongAccessKey = 'wrong-access-key-in-the-path';
  const requests: [string, RequestInit?][] = [
    [authenticatedUrl],
    [authenticatedUrl, { headers: { range: 'bytes=0-9' } }],
    [authenticatedUrl, { method: 'HEAD' }],
    [`${authenticatedUrl}x`],
    [`${url}/stream/${token}/more`],
    [`${url}/v1/recordings?cursor=${token}`, { headers: { authorization } }],
    [`${url}/k/${wrongAccessKey}/retrieve/authenticated/recordings/b`],
    [`${url}/v1/recordings`, { headers: { authorization: `Bearer ${apiKey.slice(1)}` } }],
  ];
  for (const [target, init] of requests) await (await fetch(target, init)).arrayBuffer();

  child.kill('SIGTERM');
  t.equal(await ended(child), 0, 'SIGTERM stops it cleanly');
  const log = gateway.log();
  t.match(log, /"route":"\/stream\/:token"/, 'the log has the requests');
  const secrets = {
    token,
    signature: token.split('.')[2]!,
    apiKey,
    shorterKey: apiKey.slice(1),
    wrongAccessKey,
  };
  for (const [name, secret] of Object.entries(secrets)) t.notOk(log.includes(secret), `no ${name}`);
});
