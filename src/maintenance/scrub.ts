import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/open.ts';
import { unverifiedRecordings } from '../recordings/list.ts';
import type { RecordedAudio } from '../recordings/recorded-audio.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import type { Task } from './background.ts';

export interface ScrubOptions {
  db: Database;
  recordedAudio: Pick<RecordedAudio, 'verify' | 'record'>;
  bytesPerSecond: number;
  log: { error(details: object, message: string): void };
}

/** A recording is not read again before this time. */
const periodMs = 7 * 86_400_000;
const everyMs = 600_000;
const recordingsAtOnce = 50;

/**
 * Compares each recording in the store with its SHA-256, again and again. A disk that changes a byte by itself leaves
 * the size and the time of the file as they were, so nothing else would notice.
 */
export function scrub({ db, recordedAudio, bytesPerSecond, log }: ScrubOptions): Task {
  async function run(mayContinue: () => Promise<boolean>): Promise<void> {
    const seen = new Set<string>();
    for (;;) {
      const due = await unverifiedRecordings(db.kysely, new Date(Date.now() - periodMs), recordingsAtOnce);
      const next = due.filter(({ id }) => !seen.has(id));
      if (next.length === 0) return;
      for (const recording of next) {
        if (!(await mayContinue())) return;
        seen.add(recording.id); // one whose audio is missing stays due: it is looked at once in each run
        await verifyOne(recording);
        await sleep((recording.size / bytesPerSecond) * 1000, undefined, { ref: false });
      }
    }
  }

  async function verifyOne(recording: PlayableRecording): Promise<void> {
    const verification = await recordedAudio.verify(recording, AbortSignal.timeout(periodMs));
    await recordedAudio.record(recording, verification);
    const { state } = verification;
    if (state === 'intact' || state === 'copied') return;
    const { accountId, externalId } = recording;
    log.error({ accountId, externalId, state }, 'The audio of a recording is not what was checked.');
  }

  return { name: 'scrub', everyMs, run };
}
