import type { Database } from '../db/open.ts';
import { isProblem } from '../errors.ts';
import type { FileStore } from '../origins/file/file.ts';
import { storedRecordings } from '../recordings/list.ts';
import type { RecordedAudio } from '../recordings/recorded-audio.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import { Turns } from '../turns.ts';
import type { AudioState } from '../unions.ts';
import { findOrphans } from './orphans.ts';

export interface VerifyOptions {
  db: Database;
  recordedAudio: RecordedAudio;
  /** The store, if it is a folder. */
  folder: FileStore | undefined;
  accountId?: string | undefined;
  externalId?: string | undefined;
  /** Whether to store what is found, so that gateways act on it. */
  repair: boolean;
  onProgress(verified: number): void;
}

/** `unreadable`: the store has it and did not send it. */
export type FoundState = AudioState | 'unreadable';

export interface VerifySummary extends Record<FoundState, number> {
  /** Each recording that is not intact. */
  findings: { accountId: string; externalId: string; state: FoundState; reason?: string }[];
  /** Keys of files in a folder store that belong to no recording. Empty if only some recordings are verified. */
  orphans: string[];
}

/** Recordings that are read at one time: enough to hide the latency of S3. */
const readsAtOnce = 8;
const endless = new AbortController().signal;

/** Compares every recording in the store with its SHA-256. @throws what the database throws */
export async function verifyStore(options: VerifyOptions): Promise<VerifySummary> {
  const { db, recordedAudio, folder, repair, onProgress, ...filter } = options;
  const summary: VerifySummary = {
    intact: 0,
    copied: 0,
    damaged: 0,
    missing: 0,
    unreadable: 0,
    findings: [],
    orphans: [],
  };
  const turns = new Turns(readsAtOnce);
  let verified = 0;

  async function verifyOne(recording: PlayableRecording): Promise<void> {
    const { accountId, externalId } = recording;
    const add = (state: FoundState, reason?: string) => {
      summary[state] += 1;
      if (state !== 'intact')
        summary.findings.push({ accountId, externalId, state, ...(reason && { reason }) });
    };
    try {
      const verification = await recordedAudio.verify(recording, endless);
      if (verification === undefined) return;
      if (repair) await recordedAudio.record(recording, verification);
      add(verification.state);
    } catch (error) {
      if (!isProblem(error) || error.code === 'database_unavailable') throw error;
      add('unreadable', error.message); // the others are verified all the same
    } finally {
      onProgress(++verified);
    }
  }

  for await (const recordings of storedRecordings(db.kysely, filter)) {
    await Promise.all(recordings.map((recording) => turns.run(endless, () => verifyOne(recording))));
  }
  const isWhole = filter.accountId === undefined && filter.externalId === undefined;
  if (folder && isWhole) summary.orphans = await findOrphans(db.kysely, folder);
  return summary;
}
