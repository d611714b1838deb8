import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { ApiKeys } from '../../src/access/api-keys.ts';
import { SecretKey } from '../../src/access/secret-key.ts';
import { Tokens } from '../../src/access/tokens.ts';
import { Vault } from '../../src/access/vault.ts';
import { Changes } from '../../src/db/changes.ts';
import type { Database } from '../../src/db/open.ts';
import { Installations } from '../../src/hubspot/installations.ts';
import type { TokenEndpoint } from '../../src/hubspot/token-endpoint.ts';
import { dropSecretKeys, listSecretKeys, rotateSecretKey } from '../../src/maintenance/rotate-secret-key.ts';
import { eachEngine, type Place } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';
import { sealedIn } from './sealed.ts';

const call = { accountId: 'acme', externalId: 'call-1', etag: '"a"' };
const hour = 3_600_000;
/** More than a rotation reads at once. */
const portals = 120;

/** The parts that seal, as in one process. Keys in the settings, or in the file of a data folder. */
async function start(t: Parameters<typeof freshFolder>[0], place: Place, keys: SecretKey[] | string) {
  const config =
    typeof keys === 'string'
      ? { secretKey: '', dataDir: keys }
      : { secretKey: keys.map(({ text }) => text).join(','), dataDir: '' };
  const db = await place.open();
  const changes = await Changes.open(db, 20);
  t.teardown(() => changes.close());
  const vault = await Vault.open({ db, config });
  const tokens = await Tokens.open({ db, vault, changes, ttlMs: hour });
  const { accessKey } = await ApiKeys.open({ db, vault, changes, config: { apiKeys: ['k'], dataDir: '' } });
  const installations = new Installations({ db, vault, endpoint: {} as TokenEndpoint });
  return { db, vault, tokens, accessKey, installations };
}

async function install({ installations }: Awaited<ReturnType<typeof start>>): Promise<void> {
  for (let portal = 1; portal <= portals; portal++) {
    const secret = { accessToken: `access ${portal}`, refreshToken: `refresh ${portal}` };
    const expiry = { expiresAt: Date.now() + hour, aheadMs: 1_000, portalId: portal };
    await installations.keep(portal, { ...secret, ...expiry }, []);
  }
}

/** The columns with texts that other keys than this one have sealed. */
async function notSealedWith(key: SecretKey, db: Database): Promise<string[]> {
  const sealed = await sealedIn(db);
  return sealed.filter(({ text }) => !text.startsWith(key.prefix)).map(({ column }) => column);
}

await eachEngine(t, 'a rotation seals everything anew, and may be repeated', async (t, place) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const before = await start(t, place, [old]);
  await install(before);
  const { token } = await before.tokens.sign(call);
  const retired = await before.tokens.rotate();
  await before.tokens.retire(retired);

  const both = await start(t, place, [next, old]);
  const total = (await sealedIn(both.db)).length;
  t.equal(total, portals + 4, 'two live signing keys, the access key, the row that says which key seals');
  t.same(await listSecretKeys(both), [
    { kid: next.kid, seals: false, secrets: 0 },
    { kid: old.kid, seals: true, secrets: total },
  ]);
  t.same(await rotateSecretKey(both), { kid: next.kid, resealed: total - 1, unopened: [] });
  t.same(await notSealedWith(next, both.db), []);
  t.same(await rotateSecretKey(both), { kid: next.kid, resealed: 0, unopened: [] });
  t.same(await listSecretKeys(both), [
    { kid: next.kid, seals: true, secrets: total },
    { kid: old.kid, seals: false, secrets: 0 },
  ]);

  const after = await start(t, place, [next]);
  t.equal(after.accessKey, before.accessKey);
  t.match(await after.tokens.verify(token), call);
  t.equal(await after.installations.accessToken(portals), `access ${portals}`);
  const states = await after.tokens.keys();
  t.ok(states.find(({ kid }) => kid === retired)?.retiredAt, 'a retired key stays retired');
  const reinstalled = await start(t, place, [old, next]);
  await install(reinstalled);
  await reinstalled.tokens.rotate();
  t.same(await notSealedWith(next, both.db), [], 'what comes later is sealed with the new key');
});

await eachEngine(t, 'a text that changes during the rotation is kept as it is', async (t, place) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const one = await start(t, place, [old, next]);
  await install(one);
  const other = await start(t, place, [next, old]);
  let isDone = false;
  const rotation = rotateSecretKey(other).finally(() => (isDone = true));
  let renewals = 0;
  for (; !isDone || renewals < portals; renewals++) {
    const portalId = 1 + (renewals % portals);
    const expiry = { expiresAt: Date.now() + hour, aheadMs: 1_000, portalId };
    const accessToken = `renewed ${portalId}`;
    await one.installations.keep(portalId, { accessToken, refreshToken: 'refresh', ...expiry }, []);
  }
  t.same((await rotation).unopened, []);
  t.same(await notSealedWith(next, one.db), []);
  const after = await start(t, place, [next]);
  for (const portalId of [1, 60, portals])
    t.equal(await after.installations.accessToken(portalId), `renewed ${portalId}`);
});

await eachEngine(t, 'a key that still seals something must be known', async (t, place) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const before = await start(t, place, [old]);
  await install(before);
  const both = await start(t, place, [next, old]);
  await both.vault.exclusively((trx) => both.vault.sealWith(trx, next)); // killed after the first step
  t.ok((await before.tokens.sign(call)).token, 'a process without the new key still signs');
  await t.rejects(
    before.tokens.rotate(),
    { message: /^PLAYHEAD_SECRET_KEY, or the file/ },
    'and seals nothing',
  );
  t.equal(
    await start(t, place, [next]).catch(({ message }) => message.split(':')[0]),
    'Secrets in the database are sealed with a key that is not in PLAYHEAD_SECRET_KEY (122)',
  );
  await rotateSecretKey(await start(t, place, [next, old]));
  t.ok(await start(t, place, [next]));
});

await eachEngine(t, 'a text that no key opens is named, and the others are sealed anew', async (t, place) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const both = await start(t, place, [next, old]);
  await both.vault.exclusively((trx) => both.vault.sealWith(trx, old));
  await both.db.kysely
    .insertInto('installations')
    .values({
      portal_id: 7,
      tokens: `${old.prefix}.spoiled`,
      expires_at: 0,
      lost: null,
      lease_until: 0,
      installed_at: 0,
    })
    .execute();
  t.match(await rotateSecretKey(both), { kid: next.kid, unopened: ['installations 7'] });
  t.same(await notSealedWith(next, both.db), ['installations.tokens']);
});

await eachEngine(
  t,
  'the file secret-key gets the new key, and loses the old one at the end',
  async (t, place) => {
    const dataDir = await freshFolder(t);
    const file = join(dataDir, 'secret-key');
    const gateway = await start(t, place, dataDir);
    await install(gateway);
    const [old] = gateway.vault.keys.all;
    const operator = await start(t, place, dataDir);
    t.same(await dropSecretKeys(operator), [], 'the only key stays');
    const { kid } = await rotateSecretKey(operator);
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    t.equal(lines.length, 2);
    t.equal(lines[1], old!.text);
    t.equal(SecretKey.parse(lines[0]!)?.kid, kid);
    t.equal((await stat(file)).mode & 0o777, 0o600);
    const late = await start(t, place, dataDir);

    t.equal((await rotateSecretKey(operator)).kid, kid, 'the next run makes no other key');
    t.same(await dropSecretKeys(operator), [old!.kid]);
    t.equal(await readFile(file, 'utf8'), `${lines[0]}\n`);
    t.same(await readdir(dataDir), ['secret-key'], 'no draft is left');
    for (const { tokens, installations, vault } of [gateway, late]) {
      t.equal(
        await installations.accessToken(5),
        'access 5',
        'gateways that were started before read the file again',
      );
      await tokens.rotate();
      t.ok((await vault.seal('secret')).startsWith(SecretKey.parse(lines[0]!)!.prefix));
    }
    t.same(await notSealedWith(SecretKey.parse(lines[0]!)!, gateway.db), []);
    t.not((await rotateSecretKey(operator)).kid, kid, 'and a later rotation makes one');
  },
);

await eachEngine(t, 'an old key that still seals something is not dropped', async (t, place) => {
  const dataDir = await freshFolder(t);
  const file = join(dataDir, 'secret-key');
  const operator = await start(t, place, dataDir);
  const both = `${SecretKey.generate().text}\n${await readFile(file, 'utf8')}`;
  await writeFile(file, both);
  await t.rejects(dropSecretKeys(operator), { message: /run playhead secret-key rotate\.$/ });
  t.equal(await readFile(file, 'utf8'), both);
  const inSettings = await start(t, place, [...operator.vault.keys.all]);
  await t.rejects(dropSecretKeys(inSettings), { message: /^PLAYHEAD_SECRET_KEY has the keys/ });
});

await eachEngine(t, 'rotations at the same time make one new key', async (t, place) => {
  const dataDir = await freshFolder(t);
  const operators = await Promise.all(Array.from({ length: 4 }, () => start(t, place, dataDir)));
  await install(operators[0]!);
  const rotations = await Promise.all(operators.map(rotateSecretKey));
  t.equal(new Set(rotations.map(({ kid }) => kid)).size, 1);
  const [next, ...older] = (await start(t, place, dataDir)).vault.keys.all;
  t.equal(older.length, 1);
  t.equal(next!.kid, rotations[0]!.kid);
  t.same(await notSealedWith(next!, operators[0]!.db), []);
});
