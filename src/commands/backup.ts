import { join, resolve } from 'node:path';
import { type BackupSummary, backup as run } from '../maintenance/backup.ts';
import type { Config } from '../settings/config.ts';
import { type Command, exitCode, flag, option, print, requireOption, withParts } from './command.ts';
import { Progress, sizeText } from './progress.ts';

export const backup: Command = {
  options: {
    to: option(
      'FOLDER',
      'Folder of the backup: a new one, or that of an earlier backup, to which only what is new is added.',
    ),
    verify: flag('Read the audio of earlier backups in the folder again, and replace what is damaged.'),
    json: flag('Print JSON.'),
  },

  run: ({ options, config }) => {
    const to = resolve(requireOption(options, 'to'));
    return withParts(config, async ({ db, wholeAudio, storeFolder }) => {
      const progress = new Progress();
      const summary = await run({
        db,
        audio: wholeAudio,
        folder: storeFolder,
        to,
        verify: options.verify !== undefined,
        onProgress: ({ database, done, total }) =>
          progress.show(
            total === 0 ? `database: ${database} pages or rows` : `audio: ${done} of ${total} recordings`,
          ),
      }).finally(() => progress.end());
      print(options.json ? JSON.stringify(summary, null, 2) : sentences(summary, to, config));
      return summary.lost === 0 ? exitCode.done : exitCode.failed;
    });
  },
};

function sentences(summary: BackupSummary, to: string, { secretKey, dataDir }: Config): string {
  const { recordings, bytes, added, erased, lostRecordings } = summary;
  const key = secretKey ? 'PLAYHEAD_SECRET_KEY' : join(dataDir, 'secret-key');
  return [
    `${to} has the database and ${recordings} recordings (${sizeText(bytes)}); ${added.recordings} of them are new (${sizeText(added.bytes)}).`,
    ...(erased > 0 ? [`${erased} recordings were erased meanwhile and are not in it.`] : []),
    ...lostRecordings.map(
      ({ accountId, externalId, reason }) =>
        `${accountId}/${externalId} is in it without its audio: ${reason}`,
    ),
    `The secret key is not in it. Keep ${key} in another place: the backup is of no use without it.`,
  ].join('\n');
}
