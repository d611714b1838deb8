import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { CompactEncrypt } from 'jose';
import t from 'tap';
import { openVault } from '../../src/access/vault.ts';
import { freshFolder } from '../files.ts';

const newKey = () => randomBytes(32).toString('base64url');

t.test('a sealed secret is unreadable, and opens again', async () => {
  const vault = await openVault({ secretKey: newKey(), dataDir: '' });
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 200 }), async (plain) => {
      const sealed = await vault.seal(plain);
      const visible = plain.length > 8 && Buffer.from(sealed, 'base64url').includes(plain);
      return !visible && sealed !== (await vault.seal(plain)) && (await vault.open(sealed)) === plain;
    }),
  );
});

t.test('an altered secret, or one sealed with another key, does not open', async (t) => {
  const secretKey = newKey();
  const vault = await openVault({ secretKey, dataDir: '' });
  const sealed = await vault.seal('secret');
  const other = await openVault({ secretKey: newKey(), dataDir: '' });
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
    ['an empty text', () => vault.open('')],
  ];
  for (const [name, open] of cases)
    await t.rejects(open(), { message: /^PLAYHEAD_SECRET_KEY, or the file/ }, name);
});

t.test('the key in the settings must be 32 bytes', async (t) => {
  for (const secretKey of ['short', 'x'.repeat(42), 'x'.repeat(44), `${'x'.repeat(42)}=`]) {
    await t.rejects(
      openVault({ secretKey, dataDir: '' }),
      { message: /^PLAYHEAD_SECRET_KEY must be 43/ },
      secretKey,
    );
  }
});

t.test('if several processes start together, one generates the key and all use it', async (t) => {
  const dataDir = join(await freshFolder(t), 'new', 'data');
  const vaults = await Promise.all(Array.from({ length: 10 }, () => openVault({ secretKey: '', dataDir })));
  const sealed = await Promise.all(vaults.map((vault) => vault.seal('secret')));
  for (const vault of [...vaults, await openVault({ secretKey: '', dataDir })]) {
    for (const text of sealed) t.equal(await vault.open(text), 'secret');
  }
  const file = join(dataDir, 'secret-key');
  t.equal((await stat(file)).mode & 0o777, 0o600);
  t.equal((await stat(dataDir)).mode & 0o777, 0o700);
  t.same(await readdir(dataDir), ['secret-key'], 'no draft is left');

  const byHand = await openVault({ secretKey: (await readFile(file, 'utf8')).trim(), dataDir: '' });
  t.equal(await byHand.open(sealed[0]!), 'secret', 'the settings may have the same key');
  await writeFile(file, 'spoiled\n');
  await t.rejects(openVault({ secretKey: '', dataDir }), {
    message: `${file} must be 43 base64url characters (32 bytes).`,
  });
});
