import { moveStore as run } from '../maintenance/move-store.ts';
import { ConfigError } from '../settings/config.ts';
import { type Command, exitCode, flag, print, withParts } from './command.ts';
import { Progress, sizeText } from './progress.ts';

export const moveStore: Command = {
  options: { json: flag('Print JSON.') },

  run: ({ options, config }) =>
    withParts(config, async ({ db, changes, storeKeys, storedAudio, storeMove }) => {
      if (!storeMove) {
        throw new ConfigError(
          'PLAYHEAD_STORE_BEFORE is missing: it names the store to move from. PLAYHEAD_STORE names the one to move to.',
        );
      }
      const progress = new Progress();
      const summary = await run({
        db,
        changes,
        storeKeys,
        storedAudio,
        move: storeMove,
        config,
        onProgress: ({ moved, bytes, done, kept }) =>
          progress.show(
            kept === undefined
              ? `${done} recordings looked at, ${moved} moved (${sizeText(bytes)})`
              : `all recordings are moved; ${kept} are kept in the old store for a few minutes, for their listeners`,
          ),
      }).finally(() => progress.end());
      const { moved, bytes, lost } = summary;
      if (options.json) print(JSON.stringify(summary, null, 2));
      else {
        print(`Moved ${moved} recordings (${sizeText(bytes)}).`);
        for (const { accountId, externalId } of lost)
          print(`${accountId}/${externalId} has lost its audio, or it is damaged: it was not moved.`);
        print(
          lost.length === 0
            ? `All recordings are in ${config.store}. Next: restart every gateway without PLAYHEAD_STORE_BEFORE.`
            : 'Next: send these recordings again, or DELETE them. Then run this command again.',
        );
      }
      return lost.length === 0 ? exitCode.done : exitCode.failed;
    }),
};
