import { randomBytes } from 'node:crypto';
import { link, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { CompactEncrypt, compactDecrypt } from 'jose';
import { ConfigError } from '../settings/config.ts';
import { makeFolder } from '../settings/folders.ts';

/** Encrypts small secrets, so that the database alone discloses none of them. */
export interface Vault {
  seal(plain: string): Promise<string>;
  /** @throws ConfigError if the text was sealed with another key */
  open(sealed: string): Promise<string>;
}

/** 32 bytes in base64url. */
const keyPattern = /^[A-Za-z0-9_-]{43}$/;

/**
 * @param config `secretKey`: 43 base64url characters. If it is empty, the key is in the file `secret-key` in
 *   `dataDir`, which the first start creates.
 * @throws ConfigError
 */
export async function openVault(config: { secretKey: string; dataDir: string }): Promise<Vault> {
  const text = config.secretKey || (await readOrCreateSecret(config.dataDir, 'secret-key'));
  if (!keyPattern.test(text)) {
    const name = config.secretKey ? 'PLAYHEAD_SECRET_KEY' : join(config.dataDir, 'secret-key');
    throw new ConfigError(`${name} must be 43 base64url characters (32 bytes).`);
  }
  const key = Buffer.from(text, 'base64url');
  return {
    // RFC 7516 compact serialisation; RFC 7518 §4.5 (the key is used directly) and §5.3 (AES-256-GCM).
    seal: (plain) =>
      new CompactEncrypt(Buffer.from(plain)).setProtectedHeader({ alg: 'dir', enc: 'A256GCM' }).encrypt(key),
    async open(sealed) {
      const algorithms = { keyManagementAlgorithms: ['dir'], contentEncryptionAlgorithms: ['A256GCM'] };
      try {
        const { plaintext } = await compactDecrypt(sealed, key, algorithms);
        return Buffer.from(plaintext).toString();
      } catch (cause) {
        throw new ConfigError(
          'PLAYHEAD_SECRET_KEY, or the file secret-key in the data folder, is not the key that encrypted the secrets in this database.',
          { cause },
        );
      }
    },
  };
}

/**
 * Reads a secret of 43 base64url characters from a file. If the file is missing, creates it with a random secret that
 * only the owner can read. If several processes start together, one creates the file atomically and all read it.
 */
export async function readOrCreateSecret(dataDir: string, name: string): Promise<string> {
  const path = join(dataDir, name);
  const secret = await readFile(path, 'utf8').catch(unlessCode('ENOENT'));
  if (secret !== undefined) return secret.trim();

  await makeFolder(dataDir);
  const draft = join(dataDir, `.${name}-${randomBytes(8).toString('hex')}`);
  const file = await open(draft, 'wx', 0o600);
  try {
    await file.writeFile(`${randomBytes(32).toString('base64url')}\n`);
    await file.sync();
    await link(draft, path).catch(unlessCode('EEXIST'));
  } finally {
    await file.close();
    await unlink(draft);
  }
  return (await readFile(path, 'utf8')).trim();
}

function unlessCode(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
  };
}
