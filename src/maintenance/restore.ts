import { copyFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { copyTables, countRows, type Side } from '../db/copy-tables.ts';
import { type Database, openDatabase } from '../db/open.ts';
import { isProblem, Problem } from '../errors.ts';
import type { Origin, Store } from '../origins/origin.ts';
import { storedRecordings } from '../recordings/list.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import { makeFolder } from '../settings/folders.ts';
import { BackupFolder, type Manifest } from './backup-folder.ts';
import { copyAudio, each, isLoss, verifyAudio } from './whole-audio.ts';

export interface RestoreOptions {
  from: string;
  /** Empty. */
  db: Database;
  store: Store;
  /** The store, for whole reads. */
  audio: Origin;
  /** A path for the database of the backup while it is prepared. */
  draft: string;
  onProgress(done: number, total: number): void;
}

export interface RestoreSummary extends Manifest {
  /** Rows of the database. */
  rows: number;
  /** Recordings whose audio is missing or damaged in the backup. */
  missing: { accountId: string; externalId: string }[];
}

/**
 * Puts a backup into an empty database and a store. Verifies all audio on the way. The database gets its rows last
 * and at once: killed before that, it stays empty, and the next run continues with what the store has already.
 *
 * @throws Error with a sentence if the backup is not whole or the database is not empty, Problem `conflict` if the
 *   store has other audio under a key, and what the database and the store throw
 */
export async function restore(options: RestoreOptions): Promise<RestoreSummary> {
  const { from, db, draft } = options;
  const folder = new BackupFolder(from);
  const manifest = await folder.manifest();
  if (!manifest) throw new Error(`${from} has no backup.json, so it has no whole backup.`);
  await folder.requireDatabase(manifest);
  await requireEmpty(db);

  const wasInterrupted = await isThere(draft);
  await makeFolder(dirname(draft));
  await removeDraft(draft);
  await copyFile(folder.pathOf(manifest), draft);
  const source = await openDatabase(`sqlite:${draft}`); // brings the schema of an older backup up to date
  let rows: number;
  let missing: RestoreSummary['missing'];
  try {
    missing = await restoreAudio(options, folder, manifest, source, wasInterrupted);
    rows = await fill(db, source);
  } finally {
    await source.close();
    folder.audio.close();
  }
  await removeDraft(draft);
  return { ...manifest, rows, missing };
}

/** Copies the audio into the store, and pins each recording to the version that is there now. */
async function restoreAudio(
  { store, audio, onProgress }: RestoreOptions,
  folder: BackupFolder,
  { recordings }: Manifest,
  source: Database,
  wasInterrupted: boolean,
): Promise<RestoreSummary['missing']> {
  const missing: RestoreSummary['missing'] = [];
  let done = 0;
  for await (const some of storedRecordings(source.kysely)) {
    const etags = new Map<string, string>();
    await each(some, async (recording, signal) => {
      try {
        const there = await etagOf(audio, recording, signal);
        if (there === undefined && wasInterrupted) await store.remove(recording.key); // what is left of a write
        etags.set(recording.id, there ?? (await copyAudio(folder.audio, store, recording, signal)).etag);
      } catch (error) {
        if (!isLoss(error)) throw error;
        const { accountId, externalId } = recording;
        missing.push({ accountId, externalId });
      }
      onProgress(++done, recordings);
    });
    await source.kysely.transaction().execute(async (trx) => {
      for (const [id, origin_etag] of etags)
        await trx
          .updateTable('recordings')
          .set({ origin_etag, verified_at: Date.now(), damaged_at: null })
          .where('id', '=', id)
          .execute();
    });
  }
  return missing;
}

/**
 * The ETag of audio that the store has already, from a run that was interrupted or from a restore by other means.
 *
 * @returns undefined if it is not there
 * @throws Problem `conflict` if other audio is there
 */
async function etagOf(
  audio: Origin,
  recording: PlayableRecording,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    return await verifyAudio(audio, recording, signal);
  } catch (error) {
    if (isProblem(error, 'not_found')) return undefined;
    if (!isProblem(error, 'version_changed')) throw error;
    throw new Problem(
      'conflict',
      `The store has other audio under the key ${recording.key}: name an empty store.`,
    );
  }
}

/** All or nothing. */
async function fill(db: Database, source: Database): Promise<number> {
  return db.kysely.transaction().execute(async (trx) => {
    const target = { kysely: trx, engine: db.engine };
    await requireEmpty(target);
    const counts = await copyTables(source, target);
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  });
}

async function requireEmpty(side: Side): Promise<void> {
  const rows = await countRows(side);
  if (rows === 0) return;
  throw new Error(
    `The database is not empty, it has ${rows} rows: a backup is restored into an empty data folder or an empty database.`,
  );
}

async function removeDraft(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(path + suffix, { force: true });
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
