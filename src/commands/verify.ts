import { type FoundState, type VerifySummary, verifyStore } from '../maintenance/verify.ts';
import { type Command, exitCode, flag, option, print, withParts } from './command.ts';
import { Progress } from './progress.ts';

export const verify: Command = {
  options: {
    account: option('ID', 'Only the recordings of this account.'),
    id: option('EXTERNAL_ID', 'Only recordings with this id.'),
    repair: flag('Store what is found: play copies with the right bytes, and nothing that is damaged.'),
    json: flag('Print JSON.'),
  },

  run: ({ options, config }) =>
    withParts(config, async ({ db, recordedAudio, storeFolder }) => {
      const progress = new Progress();
      const isRepair = options.repair !== undefined;
      const summary = await verifyStore({
        db,
        recordedAudio,
        folder: storeFolder,
        accountId: options.account,
        externalId: options.id,
        repair: isRepair,
        onProgress: (verified) => progress.show(`${verified} recordings read`),
      }).finally(() => progress.end());
      print(options.json ? JSON.stringify(summary, null, 2) : sentences(summary, isRepair));
      return summary.damaged + summary.missing + summary.unreadable === 0 ? exitCode.done : exitCode.failed;
    }),
};

const nextSteps: Record<FoundState, string> = {
  intact: 'is what was checked',
  copied: 'is what was checked, copied or restored: it plays',
  damaged: 'is not what was checked: send the same recording again, or restore it from a backup',
  missing: 'has no audio in the store: send the same recording again, or restore it from a backup',
  unreadable: 'could not be read',
};

function sentences(summary: VerifySummary, isRepair: boolean): string {
  const { intact, copied, damaged, missing, unreadable, findings, orphans } = summary;
  const total = intact + copied + damaged + missing + unreadable;
  const hint = !isRepair && copied + damaged > 0 ? ['playhead verify --repair stores this.'] : [];
  return [
    ...findings.map(
      ({ accountId, externalId, state, reason }) =>
        `${accountId}/${externalId} ${nextSteps[state]}${reason ? `: ${reason}` : '.'}`,
    ),
    `${total} recordings: ${intact} intact, ${copied} copied, ${damaged} damaged, ${missing} missing, ${unreadable} unreadable.`,
    ...orphans.map((key) => `The file ${key} in the store belongs to no recording.`),
    ...hint,
  ].join('\n');
}
