import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { CompactEncrypt, decodeProtectedHeader } from 'jose';
import t, { type Test } from 'tap';
import { SecretKey } from '../../src/access/secret-key.ts';
import { Vault } from '../../src/access/vault.ts';
import { openDatabase } from '../../src/db/open.ts';
import { eachEngine } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';

const newKey = () => randomBytes(32).toString('base64url');

/** A vault on a new database. */
async function vaultWith(t: Test, secretKey: string, dataDir = '') {
  const db = await openDatabase('sqlite::memory:');
  t.teardown(() => db.close());
  return Vault.open({ db, config: { secretKey, dataDir } });
}

/** As earlier versions sealed. */
function sealedWithoutKid(secretKey: string, plain: string): Promise<string> {
  return new CompactEncrypt(Buffer.from(plain))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
    .encrypt(Buffer.from(secretKey, 'base64url'));
}

t.test('a sealed secret is unreadable, and opens again', async (t) => {
  const vault = await vaultWith(t, newKey());
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 200 }), async (plain) => {
      const sealed = await vault.seal(plain);
      const visible = plain.length > 8 && Buffer.from(sealed, 'base64url').includes(plain);
      return !visible && sealed !== (await vault.seal(plain)) && (await vault.open(sealed)) === plain;
    }),
  );
});

t.test('a sealed secret names its key', async (t) => {
  const key = SecretKey.parse(newKey())!;
  const sealed = await (await vaultWith(t, key.text)).seal('secret');
  t.same(decodeProtectedHeader(sealed), { alg: 'dir', enc: 'A256GCM', kid: key.kid });
  t.ok(sealed.startsWith(key.prefix));
  t.not(SecretKey.generate().prefix, key.prefix);
});

t.test('an altered secret, or one sealed with another key, does not open', async (t) => {
  const secretKey = newKey();
  const vault = await vaultWith(t, secretKey);
  const sealed = await vault.seal('secret');
  const other = await vaultWith(t, newKey());
  const [header, key, iv, text, tag] = sealed.split('.') as [string, string, string, string, string];
  const otherAlgorithm = new CompactEncrypt(Buffer.from('secret'))
    .setProtectedHeader({ alg: 'dir', enc: 'A128CBC-HS256' })
    .encrypt(Buffer.from(secretKey, 'base64url'));
  const cases: [name: string, open: () => Promise<string>][] = [
    ['another key', () => other.open(sealed)],
    [
      'an altered text',
      () => vault.open([header, key, iv, text.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')), tag].join('.')),
    ],
    ['a shortened tag', () => vault.open([header, key, iv, text, tag.slice(0, 8)].join('.'))],
    ['another algorithm under the right key', async () => vault.open(await otherAlgorithm)],
    ['the right key, named as another', async () => vault.open(await named(secretKey, 'other'))],
    ['a kid that is not text', async () => vault.open(await named(secretKey, [] as unknown as string))],
    ['without a kid, another key', async () => vault.open(await sealedWithoutKid(newKey(), 'secret'))],
    ['an empty text', () => vault.open('')],
  ];
  for (const [name, open] of cases)
    await t.rejects(open(), { message: /^PLAYHEAD_SECRET_KEY, or the file/ }, name);
});

function named(secretKey: string, kid: string): Promise<string> {
  return new CompactEncrypt(Buffer.from('secret'))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid })
    .encrypt(Buffer.from(secretKey, 'base64url'));
}

t.test('each key in the settings must be 32 bytes', async (t) => {
  const wrong = ['short', 'x'.repeat(42), 'x'.repeat(44), `${'x'.repeat(42)}=`, `${newKey()},short`, ','];
  for (const secretKey of wrong) {
    await t.rejects(vaultWith(t, secretKey), { message: /^PLAYHEAD_SECRET_KEY must be 43/ }, secretKey);
  }
});

t.test('if several processes start together, one generates the key and all use it', async (t) => {
  const dataDir = join(await freshFolder(t), 'new', 'data');
  const vaults = await Promise.all(Array.from({ length: 10 }, () => vaultWith(t, '', dataDir)));
  const sealed = await Promise.all(vaults.map((vault) => vault.seal('secret')));
  for (const vault of [...vaults, await vaultWith(t, '', dataDir)]) {
    for (const text of sealed) t.equal(await vault.open(text), 'secret');
  }
  const file = join(dataDir, 'secret-key');
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.equal((await stat(dataDir)).mode & 0o777, 0o700);
  t.same(await readdir(dataDir), ['secret-key'], 'no draft is left');

  const byHand = await vaultWith(t, (await readFile(file, 'utf8')).trim());
  t.equal(await byHand.open(sealed[0]!), 'secret', 'the settings may have the same key');
  await writeFile(file, 'spoiled\n');
  await t.rejects(vaultWith(t, '', dataDir), {
    message: `${file} must be 43 base64url characters (32 bytes), or several such keys.`,
  });
});

await eachEngine(
  t,
  'all processes seal with the same key, whichever is first in their settings',
  async (t, place) => {
    const [old, next] = [SecretKey.generate(), SecretKey.generate()];
    const open = async (...keys: SecretKey[]) =>
      Vault.open({
        db: await place.open(),
        config: { secretKey: keys.map(({ text }) => text).join(', '), dataDir: '' },
      });
    const vaults = [await open(old), await open(next, old), await open(old, next)];
    for (const vault of vaults) t.ok((await vault.seal('secret')).startsWith(old.prefix));
    await t.rejects(
      open(next),
      { message: /^PLAYHEAD_SECRET_KEY, or the file/ },
      'without that key none starts',
    );
  },
);

await eachEngine(
  t,
  'a database of a version without kids is sealed with the key that it has',
  async (t, place) => {
    const [old, next] = [newKey(), newKey()];
    const db = await place.open();
    const sealed = await sealedWithoutKid(old, 'secret');
    await db.kysely.insertInto('secrets').values({ name: 'access-key', sealed }).execute();
    const vault = await Vault.open({ db, config: { secretKey: `${next},${old}`, dataDir: '' } });
    t.equal(await vault.open(sealed), 'secret');
    t.ok((await vault.seal('more')).startsWith(SecretKey.parse(old)!.prefix));
  },
);

await eachEngine(t, 'a text whose key is replaced before it is stored is sealed anew', async (t, place) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const db = await place.open();
  const vault = await Vault.open({ db, config: { secretKey: `${old.text},${next.text}`, dataDir: '' } });
  const attempts: string[] = [];
  await vault.put('secret', async (sealed, hold) => {
    attempts.push(sealed);
    if (attempts.length === 1) await vault.exclusively((trx) => vault.sealWith(trx, next));
    await db.kysely.transaction().execute(async (trx) => {
      await hold(trx);
      await trx.insertInto('secrets').values({ name: 'test', sealed }).execute();
    });
  });
  t.same(
    attempts.map((sealed) => [old, next].findIndex(({ prefix }) => sealed.startsWith(prefix))),
    [0, 1],
  );
  const rows = await db.kysely.selectFrom('secrets').select('sealed').where('name', '=', 'test').execute();
  t.same(rows, [{ sealed: attempts[1] }]);
});

await eachEngine(t, 'no key is replaced while a text that it sealed is being stored', async (t, place) => {
  const [old, next] = [SecretKey.generate(), SecretKey.generate()];
  const open = async () => {
    const db = await place.open();
    const config = { secretKey: `${old.text},${next.text}`, dataDir: '' };
    return { db, vault: await Vault.open({ db, config }) };
  };
  const [writer, rotator] = [await open(), await open()];
  const order: string[] = [];
  let replacing: Promise<void> | undefined;
  await writer.vault.put('secret', (sealed, hold) =>
    writer.db.kysely.transaction().execute(async (trx) => {
      await hold(trx);
      replacing = rotator.vault
        .exclusively((other) => rotator.vault.sealWith(other, next))
        .then(() => void order.push('replaced'));
      await Promise.race([replacing, sleep(200)]);
      await trx.insertInto('secrets').values({ name: 'test', sealed }).execute();
      order.push('stored');
    }),
  );
  await replacing;
  t.same(order, ['stored', 'replaced']);
  const { sealed } = await writer.db.kysely
    .selectFrom('secrets')
    .select('sealed')
    .where('name', '=', 'test')
    .executeTakeFirstOrThrow();
  t.ok(sealed.startsWith(old.prefix));
});
