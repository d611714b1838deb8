import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Changes } from '../db/changes.ts';
import { removeBlocks } from '../origins/cache/disk.ts';
import { blocksFolder, type Origins } from '../origins/open.ts';

const saveEveryMs = 600_000;

/**
 * Removes from the disk cache the audio that was erased while no process used it. The cache's position in the change
 * feed is in the file `blocks-position`, and is saved from now on until `stop`. If the feed no longer has everything
 * since the position, the whole cache is removed.
 */
export async function forgetErased(
  changes: Changes,
  { forget }: Pick<Origins, 'forget'>,
  dataDir: string,
): Promise<{ stop(): Promise<void> }> {
  const path = join(dataDir, 'blocks-position');
  const position = Number(await readFile(path, 'utf8').catch(() => 'none'));
  const erased = Number.isSafeInteger(position) ? await changes.since(position, 'audio') : undefined;
  if (erased === undefined) await removeBlocks(blocksFolder(dataDir));
  else for (const subject of erased) await forget(JSON.parse(subject));

  const save = async () => {
    const draft = `${path}.${process.pid}`;
    await writeFile(draft, String(changes.position), { mode: 0o600 });
    await rename(draft, path);
  };
  const trySave = () => save().catch(() => {}); // the next start reads more of the feed
  await trySave();
  const timer = setInterval(trySave, saveEveryMs).unref();
  return {
    async stop() {
      clearInterval(timer);
      await trySave();
    },
  };
}
