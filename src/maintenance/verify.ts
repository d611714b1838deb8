import type { Database } from '../db/open.ts';
import { storedRecordings } from '../recordings/list.ts';
import type { RecordedAudio } from '../recordings/recorded-audio.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import { Turns } from '../turns.ts';
import type { AudioState } from '../unions.ts';

export interface VerifyOptions {
  db: Database;
  recordedAudio: RecordedAudio;
  accountId?: string | undefined;
  externalId?: string | undefined;
  /** Whether to store what is found, so that gateways act on it. */
  repair: boolean;
  onProgress(verified: number): void;
}

export interface VerifySummary extends Record<AudioState, number> {
  /** Each recording that is not intact. */
  findings: { accountId: string; externalId: string; state: AudioState }[];
}

/** Recordings that are read at one time: enough to hide the latency of S3. */
const readsAtOnce = 8;
const endless = new AbortController().signal;

/** Compares every recording in the store with its SHA-256. @throws what the database and the store throw */
export async function verifyStore(options: VerifyOptions): Promise<VerifySummary> {
  const { db, recordedAudio, repair, onProgress, ...filter } = options;
  const summary: VerifySummary = { intact: 0, copied: 0, damaged: 0, missing: 0, findings: [] };
  const turns = new Turns(readsAtOnce);
  let verified = 0;

  async function verifyOne(recording: PlayableRecording): Promise<void> {
    const { accountId, externalId } = recording;
    const verification = await recordedAudio.verify(recording, endless);
    onProgress(++verified);
    if (verification === undefined) return;
    const { state } = verification;
    summary[state] += 1;
    if (state !== 'intact') summary.findings.push({ accountId, externalId, state });
    if (repair) await recordedAudio.record(recording, verification);
  }

  for await (const recordings of storedRecordings(db.kysely, filter)) {
    await Promise.all(recordings.map((recording) => turns.run(endless, () => verifyOne(recording))));
  }
  return summary;
}
