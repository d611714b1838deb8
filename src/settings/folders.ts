import { randomUUID } from 'node:crypto';
import { mkdir, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigError, type SettingKey, variableOf } from './config.ts';

/** A full disk must not prevent a start: recordings are still played, and removed. */
const fullCodes = ['ENOSPC', 'EDQUOT'];

/**
 * Makes a folder that a setting names, with the folders above it, and tries that this process may write in it.
 *
 * @throws ConfigError that names the setting
 */
export async function prepareFolder(key: SettingKey, folder: string): Promise<void> {
  const fail = (trouble: string) => (cause: Error) => {
    const sentence = `${variableOf(key)} needs the folder ${folder}, which cannot be ${trouble}: ${cause.message}.`;
    throw new ConfigError(sentence, { cause });
  };
  await makeFolder(folder).catch(fail('created'));
  await writeIn(folder).catch(fail('written'));
}

/**
 * Makes a folder that only its owner can read, and those above it. Node's own `recursive` never ends in a folder such
 * as /proc, in which `mkdir` says that the parent is missing.
 *
 * @throws the error of the file system
 */
export async function makeFolder(folder: string): Promise<void> {
  const make = () => mkdir(folder, { mode: 0o700 });
  try {
    await make();
  } catch (error) {
    if (await isFolder(folder)) return;
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || dirname(folder) === folder) throw error;
    await makeFolder(dirname(folder));
    await make().catch(async (again: Error) => {
      if (!(await isFolder(folder))) throw again; // another process may have made it
    });
  }
}

function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

async function writeIn(folder: string): Promise<void> {
  const probe = join(folder, `.playhead-${randomUUID()}`);
  try {
    await writeFile(probe, '', { flag: 'wx', mode: 0o600 });
    await unlink(probe);
  } catch (error) {
    if (!fullCodes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}
