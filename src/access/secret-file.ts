import { randomBytes } from 'node:crypto';
import { link, open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolder } from '../settings/folders.ts';

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

/**
 * Replaces the content of a secret file. Killed at any instant, the file has the old content or the new. Two processes
 * must not do it at the same time.
 *
 * @throws the error of the file system
 */
export async function replaceSecret(path: string, text: string): Promise<void> {
  const target = await realpath(path);
  const { uid, gid } = await stat(target);
  // One name: a draft that a kill left behind is overwritten by the next run.
  const draft = `${target}.new`;
  const file = await open(draft, 'w', 0o600);
  try {
    // The gateway may run as another user than the operator.
    await file.chown(uid, gid);
    await file.writeFile(`${text}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(draft, target);
  const folder = await open(dirname(target));
  await folder.sync().finally(() => folder.close());
}

function unlessCode(code: string): (error: NodeJS.ErrnoException) => undefined {
  return (error) => {
    if (error.code !== code) throw error;
  };
}
