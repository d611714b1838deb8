import t from 'tap';
import { startGateway } from './helpers.ts';

t.test('a browser that would install is asked for the API key, a program for its token', async (t) => {
  const gateway = await startGateway(t, {
    'public-url': 'https://playhead.example',
    'hubspot-client-id': 'client',
    'hubspot-client-secret': 'secret',
  });
  const asked = async (path: string) => {
    const answer = await fetch(gateway.url + path, { redirect: 'manual' });
    return [answer.status, answer.headers.get('www-authenticate')];
  };
  t.match(await asked('/oauth/install?accountId=a'), [401, /^Basic realm=/]);
  t.same(await asked('/v1/recordings'), [401, 'Bearer']);
});
