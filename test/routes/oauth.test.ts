import t, { type Test } from 'tap';
import { createSandbox } from '../../src/sandbox/sandbox.ts';
import { playhead } from '../commands/playhead.ts';
import { startGateway } from '../gateway.ts';
import { until } from '../until.ts';

const app = { 'hubspot-client-id': 'sandbox-client', 'hubspot-client-secret': 'sandbox-secret' };

/** A gateway that publishes to the sandbox. No portal has installed the app yet. */
async function setUp(t: Test) {
  const sandbox = await createSandbox({ accounts: [{ portalId: 4711, appId: '101' }] });
  t.teardown(() => sandbox.close());
  const hubspot = { ...app, 'hubspot-app-id': '101', 'hubspot-api-base': sandbox.url };
  const gateway = await startGateway(t, { ...hubspot, 'public-url': 'https://playhead.example/calls' });
  gateway.parts.dispatcher.start();

  /** Does what the browser of an operator does. Returns the text of the page at the end. */
  async function install(accountId: string): Promise<string> {
    const authorization = `Bearer ${gateway.apiKey}`;
    const begun = await fetch(`${gateway.url}/oauth/install?accountId=${accountId}`, {
      redirect: 'manual',
      headers: { authorization },
    });
    const cookie = begun.headers.get('set-cookie')!;
    const granted = await fetch(begun.headers.get('location')!, { redirect: 'manual' });
    const back = new URL(granted.headers.get('location')!);
    t.ok(back.pathname.startsWith(/Path=([^;]*)/.exec(cookie)![1]!), 'the browser returns the cookie');
    const path = back.pathname.replace('/calls', '') + back.search; // a proxy removes the path of the public URL
    return (await fetch(gateway.url + path, { headers: { cookie: cookie.split(';')[0]! } })).text();
  }

  function run(...args: string[]) {
    const flags = Object.entries({ ...hubspot, 'database-url': gateway.config.databaseUrl });
    const settings = flags.flatMap(([name, value]) => [`--${name}`, value]);
    return playhead(gateway.dataDir, ...args, ...settings);
  }
  return { sandbox, gateway, install, run };
}

t.test('publications that failed without an installation are retried once there is one', async (t) => {
  const { sandbox, gateway, install } = await setUp(t);
  const stateOf = async (id: string) =>
    (await gateway.parts.outbox.get('publication', { accountId: 'acct', externalId: id }))?.state;
  await gateway.ingest('inbound-caller1.wav', { externalId: '1', call: { title: 'A call' } });
  await until(async () => (await stateOf('1')) === 'dead');
  t.match(await gateway.parts.outbox.list(), [{ state: 'dead', reason: /oauth\/install\?accountId=acct/ }]);
  t.match(await install('acct'), /serves acct\. 1 of their failed publications will be retried/);
  await until(async () => (await stateOf('1')) === 'done');
  t.equal(sandbox.world.calls.size, 1);

  sandbox.world.uninstalled.add(4711);
  await gateway.ingest('inbound-caller1.wav', { externalId: '2', call: { title: 'Another' } });
  await until(async () => (await stateOf('2')) === 'dead');
  t.match(await install('another'), /serves acct, another\. 1 of their failed publications/);
  await until(async () => (await stateOf('2')) === 'done');
  t.equal(sandbox.world.calls.size, 2);
});

t.test('an operator lists the installations and revokes one', async (t) => {
  const { gateway, install, run } = await setUp(t);
  t.match((await run('installations')).stdout, /^No HubSpot account has installed the app/);
  await install('acct');
  t.match((await run('installations', 'list')).stdout, /^4711 .* acct/);
  const [listed] = JSON.parse((await run('installations', 'list', '--json')).stdout);
  t.match(listed, { portalId: 4711, accountIds: ['acct'], lost: null });
  t.match(
    (await run('installations', 'revoke', '4711')).stdout,
    /^Access to HubSpot account 4711 was revoked/,
  );
  t.same(await gateway.parts.hubspot.installations!.list(), []);
  t.match(await run('installations', 'revoke', '4711'), {
    code: 1,
    stderr: /^The app is not installed in HubSpot account 4711\.\n$/,
  });
});

t.test('an installation prompts a browser for the API key', async (t) => {
  const gateway = await startGateway(t, {
    'public-url': 'https://playhead.example',
    ...app,
  });
  const challenge = async (path: string) => {
    const response = await fetch(gateway.url + path, { redirect: 'manual' });
    return [response.status, response.headers.get('www-authenticate')];
  };
  t.match(await challenge('/oauth/install?accountId=a'), [401, /^Basic realm=/]);
  t.same(await challenge('/v1/recordings'), [401, 'Bearer']);
});
