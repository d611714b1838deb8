import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openDatabase } from '../db/open.ts';
import { type RestoreSummary, restore as run } from '../maintenance/restore.ts';
import { createMetrics } from '../metrics.ts';
import { openOrigins } from '../origins/open.ts';
import type { Config } from '../settings/config.ts';
import { type Command, exitCode, flag, option, print, requireOption } from './command.ts';
import { Progress } from './progress.ts';

export const restore: Command = {
  options: {
    from: option('FOLDER', 'Folder with a backup of playhead backup.'),
    json: flag('Print JSON.'),
  },

  // Without openParts: it would create keys in the empty database and in the data folder.
  async run({ options, config }) {
    const from = resolve(requireOption(options, 'from'));
    const progress = new Progress();
    const db = await openDatabase(config.databaseUrl);
    const origins = await openOrigins(config, createMetrics());
    try {
      const summary = await run({
        from,
        db,
        store: origins.store,
        audio: origins.whole,
        draft: join(config.dataDir, 'restoring.db'),
        onProgress: (done, total) => progress.show(`audio: ${done} of ${total} recordings`),
      });
      progress.end();
      print(options.json ? JSON.stringify(summary, null, 2) : await sentences(summary, config));
      return summary.missing.length === 0 ? exitCode.done : exitCode.failed;
    } finally {
      progress.end();
      await origins.close();
      await db.close();
    }
  },
};

async function sentences(summary: RestoreSummary, config: Config): Promise<string> {
  const { createdAt, rows, recordings, missing } = summary;
  return [
    `Restored ${rows} rows and ${recordings} recordings, as they were at ${createdAt}.`,
    ...missing.map(({ accountId, externalId }) => `${accountId}/${externalId} has no audio in the backup.`),
    'Next, before you start a gateway:',
    ...(await secretKeySteps(config)),
    `- Recordings that were erased after ${createdAt} are back: DELETE them again.`,
    `- URLs that were revoked after ${createdAt} are valid again: revoke them again.`,
    '- Calls that were logged at HubSpot after that are logged again: see "Backup and restore" in docs/operations.md.',
  ].join('\n');
}

async function secretKeySteps({ secretKey, dataDir }: Config): Promise<string[]> {
  const path = join(dataDir, 'secret-key');
  const isThere =
    secretKey !== '' ||
    (await access(path).then(
      () => true,
      () => false,
    ));
  return isThere ? [] : [`- Put the secret key of the old gateway into ${path}, or set PLAYHEAD_SECRET_KEY.`];
}
