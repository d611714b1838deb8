import t, { type Test } from 'tap';
import { SecretKey } from '../../src/access/secret-key.ts';
import { openDatabase } from '../../src/db/open.ts';
import { createSandbox } from '../../src/sandbox/sandbox.ts';
import { readConfig } from '../../src/settings/config.ts';
import { spawnGateway } from '../gateway.ts';
import { ended } from '../processes.ts';
import { until } from '../until.ts';
import { sealedIn } from './sealed.ts';
import { bodyOf, type Kind, kinds, run, urlOf } from './site.ts';

type Gateway = Awaited<ReturnType<typeof spawnGateway>>;

/** Two gateways whose keys are in the settings, and a portal that installed the app. */
async function setUp(t: Test, kind: Kind, ...keys: SecretKey[]) {
  const sandbox = await createSandbox({ accounts: [{ portalId: 4711, appId: '101' }] });
  t.teardown(() => sandbox.close());
  const settings = {
    ...(await kind.fresh(t)),
    'log-level': 'silent',
    'public-url': 'https://playhead.example',
    'hubspot-api-base': sandbox.url,
    'hubspot-app-id': '101',
    'hubspot-client-id': 'sandbox-client',
    'hubspot-client-secret': 'sandbox-secret',
  };
  const withKeys = (secretKeys: SecretKey[]) => ({
    ...settings,
    'secret-key': secretKeys.map(({ text }) => text).join(','),
  });
  const serve = (...secretKeys: SecretKey[]) => spawnGateway(t, withKeys(secretKeys));
  const gateways: [Gateway, Gateway] = [await serve(...keys), await serve(...keys)];
  const db = await openDatabase(readConfig(settings, {}).databaseUrl);
  t.teardown(() => db.close());
  return {
    db,
    gateways,
    serve,
    operate: (secretKeys: SecretKey[], ...args: string[]) => run(withKeys(secretKeys), ...args),
    /** Replaces one gateway, as a supervisor does that restarts it. */
    async restart(index: 0 | 1, ...secretKeys: SecretKey[]) {
      gateways[index].child.kill('SIGTERM');
      t.equal(await ended(gateways[index].child), 0);
      await db.kysely.deleteFrom('leases').execute(); // as 15 s would end them
      gateways[index] = await serve(...secretKeys);
    },
    /** How many calls HubSpot has. */
    calls: () => sandbox.world.calls.size,
  };
}

/** Begins an installation at one gateway and completes it at the other, as a balancer may have it. */
async function install(begin: Gateway, end: Gateway): Promise<string> {
  const headers = { authorization: `Bearer ${begin.apiKey}` };
  const begun = await fetch(`${begin.url}/oauth/install?accountId=acct`, { redirect: 'manual', headers });
  const granted = await fetch(begun.headers.get('location')!, { redirect: 'manual' });
  const { pathname, search } = new URL(granted.headers.get('location')!);
  const cookie = begun.headers.get('set-cookie')!.split(';')[0]!;
  return (await fetch(end.url + pathname + search, { headers: { cookie } })).text();
}

async function roll(t: Test, kind: Kind): Promise<void> {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const { db, gateways, serve, restart, operate, calls } = await setUp(t, kind, old);
  const [first, second] = gateways;
  t.match(await install(first, second), /4711 is connected/);
  const urls = [new URL(await first.streamOf('inbound-caller1.wav', { externalId: 'call' })).pathname];
  const audio = await bodyOf(first.url + urls[0]);

  /** Does at both gateways what needs something that is sealed. */
  const works = async (step: string, ...keys: SecretKey[]) => {
    await t.test(`everything works: ${step}`, async (t) => {
      t.match(await operate(keys, 'keys', 'rotate'), { code: 0 });
      const [one, other] = gateways;
      for (const [begin, end] of [
        [one, other],
        [other, one],
      ] as const) {
        urls.push(new URL(await urlOf(begin, 'call')).pathname);
        for (const url of urls) t.ok((await bodyOf(end.url + url)).equals(audio), 'each URL of before plays');
        t.match(await install(begin, end), /4711 is connected/);
      }
      // The next request to HubSpot renews the token.
      await db.kysely.updateTable('installations').set({ expires_at: 0 }).execute();
      const before = calls();
      await one.ingest('inbound-caller1.wav', { externalId: `${before}`, call: { title: 'A call' } });
      await until(() => calls() === before + 1);
    });
  };
  const sealedWith = async (...keys: SecretKey[]) => {
    const sealed = await sealedIn(db);
    return keys.map(({ prefix }) => sealed.filter(({ text }) => text.startsWith(prefix)).length > 0);
  };

  await works('the old key', old);
  await restart(0, next, old);
  await works('one gateway knows the new key', old);
  await restart(1, old, next); // the order does not matter
  await works('both gateways know the new key', next, old);
  t.same(await sealedWith(old, next), [true, false], 'nothing is sealed with it yet');
  await t.rejects(
    serve(next),
    { message: /ended with 64: PLAYHEAD_SECRET_KEY, or the file/ },
    'dropped early',
  );

  t.match(await operate([next, old], 'secret-key', 'rotate'), {
    code: 0,
    stdout: /Next: restart every gateway with PLAYHEAD_SECRET_KEY set to the first key alone/,
  });
  t.same(await sealedWith(old, next), [false, true], 'everything is sealed with it now');
  await works('all is sealed with the new key', next, old);
  await restart(0, next);
  await works('one gateway does not know the old key', next);
  await restart(1, next);
  await works('the new key', next);
  t.same(await sealedWith(old, next), [false, true]);
  await t.rejects(serve(old), { message: /ended with 64: PLAYHEAD_SECRET_KEY, or the file/ });
  const { stdout } = await operate([next], 'secret-key', 'list');
  t.match(stdout, new RegExp(`^${next.kid}  seals  secrets: \\d+\\n$`));
}

for (const kind of [kinds.onFolder, kinds.onPostgres]) {
  const name = `the secret key is rotated while two gateways serve, ${kind.name}`;
  t.test(name, { skip: kind.skip }, (t) => roll(t, kind));
}

t.test('a gateway without the new key plays and signs, and publishes when it has both', async (t) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const { gateways, restart, operate, calls } = await setUp(t, kinds.onFolder, old);
  const [one, other] = gateways;
  t.match(await install(one, other), /4711 is connected/);
  t.match(await operate([next, old], 'secret-key', 'rotate'), { code: 0 });
  const url = await one.streamOf('inbound-caller1.wav', { externalId: 'call', call: { title: 'A call' } });
  t.ok((await bodyOf(other.url + new URL(url).pathname)).length > 0);
  const waiting = async () => {
    const [job] = JSON.parse((await operate([next, old], 'outbox', 'list', '--json')).stdout);
    return job.reason !== null && job.state;
  };
  t.equal(await until(waiting), 'waiting', 'the publication has failed once and is not given back');
  t.equal(calls(), 0);
  await restart(0, old, next);
  await restart(1, next);
  t.match(await operate([next], 'outbox', 'list'), { stdout: /acct\/call/ });
  await until(() => calls() === 1, 60_000);
});
