import { basename } from 'node:path';
import { type Database, openDatabase } from '../db/open.ts';
import { snapshot } from '../db/snapshot.ts';
import { isProblem, Problem } from '../errors.ts';
import type { FileStore } from '../origins/file/file.ts';
import type { Origin } from '../origins/origin.ts';
import { storedRecordings } from '../recordings/list.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import { backupLease } from '../recordings/store-keys.ts';
import { version } from '../version.ts';
import { nameOf, removeErased, tidy, totals, usedKeys } from './backup-database.ts';
import { BackupFolder, describeFile, type Manifest } from './backup-folder.ts';
import { runAlone } from './run-alone.ts';
import { copyAudio, each, isLoss, verifyAudio } from './whole-audio.ts';

export interface BackupOptions {
  db: Database;
  /** The store, for whole reads. */
  audio: Origin;
  /** The store, if it is a folder: its files are linked if they are on the file system of the backup. */
  folder?: FileStore | undefined;
  to: string;
  /** Whether audio that an earlier backup copied is read again. */
  verify: boolean;
  onProgress(progress: BackupProgress): void;
}

export interface BackupProgress {
  /** Rows or pages of the database that were copied. */
  database: number;
  /** Recordings that are done, and all. */
  done: number;
  total: number;
}

export interface BackupSummary extends Manifest {
  /** Recordings and bytes that this backup has added to the folder. */
  added: { recordings: number; bytes: number };
  /** Recordings that were erased while the backup ran: it does not have them. */
  erased: number;
  /** Recordings without their audio. */
  lostRecordings: { accountId: string; externalId: string; reason: string }[];
}

/**
 * Makes a backup of the database, as it is at one instant, and of the audio of each recording in it, while gateways
 * serve. Killed at any instant, it leaves the earlier backup of the folder as it was, and the next run continues.
 *
 * Audio that is replaced meanwhile is kept for it (StoreKeys). Erasures do not wait: a recording that is erased while
 * the backup runs is removed from the backup, too, and one that is erased later by the next backup into this folder.
 *
 * @throws Error with a sentence if the folder cannot be used or another backup runs, and what the database and the
 *   store throw
 */
export async function backup(options: BackupOptions): Promise<BackupSummary> {
  const { db, to } = options;
  const folder = new BackupFolder(to);
  await folder.create();
  const source = await nameOf(db);
  const earlier = await folder.manifest();
  if (earlier && earlier.source !== source) {
    throw new Error(`${to} has the backup of another database: name another folder.`);
  }
  const release = await runAlone(db, backupLease, 'Another backup of this database runs: try again later.');
  const createdAt = new Date().toISOString();
  const path = folder.newDatabase();
  const progress = { database: 0, done: 0, total: 0 };
  let copy: Database | undefined;
  try {
    await snapshot(db, path, (steps) => {
      progress.database += steps;
      options.onProgress(progress);
    });
    copy = await openDatabase(`sqlite:${path}`);
    progress.total = (await totals(copy)).recordings;
    const { erased, ...audio } = await backUpAudio(options, folder, copy, progress);
    await release();
    await tidy(copy);
    const database = { file: basename(path), ...(await describeFile(path)) };
    const { lost, added, ...counts } = audio;
    const manifest: Manifest = {
      format: 1,
      version,
      createdAt,
      source,
      database,
      ...counts,
      lost: lost.length,
    };
    await folder.commit(manifest);
    const written = copy;
    await folder.removeOthers(manifest, (keys) => usedKeys(written, keys));
    return { ...manifest, added, erased, lostRecordings: lost };
  } catch (error) {
    if (!isProblem(error, 'storage_full')) throw error;
    throw new Problem('storage_full', `${to} has no room for the backup.`, { cause: error });
  } finally {
    await release();
    await copy?.close();
    folder.audio.close();
  }
}

type Audio = {
  recordings: number;
  bytes: number;
  added: BackupSummary['added'];
  lost: BackupSummary['lostRecordings'];
};

/** Copies the audio of every recording in the copy of the database. Removes those that were erased meanwhile. */
async function backUpAudio(
  { db, audio, folder: store, verify, onProgress }: BackupOptions,
  folder: BackupFolder,
  copy: Database,
  progress: BackupProgress,
): Promise<Audio & { erased: number }> {
  const added = { recordings: 0, bytes: 0 };
  const lost = new Map<string, PlayableRecording & { reason: string }>();
  for await (const recordings of storedRecordings(copy.kysely)) {
    await each(recordings, async (recording, signal) => {
      try {
        if (!(await isThere(folder.audio, recording, verify, signal))) {
          await add(folder.audio, audio, store, recording, signal);
          added.recordings += 1;
          added.bytes += recording.size;
        }
      } catch (error) {
        if (!isLoss(error)) throw error;
        await requireHold(db, recording);
        lost.set(recording.id, { ...recording, reason: (error as Error).message });
      }
      progress.done += 1;
      onProgress(progress);
    });
  }
  const erased = await removeErased(db, copy);
  for (const id of erased) lost.delete(id);
  const stored = await totals(copy);
  const lostOnes = [...lost.values()];
  return {
    recordings: stored.recordings - lostOnes.length,
    bytes: stored.bytes - lostOnes.reduce((sum, { size }) => sum + size, 0),
    added,
    lost: lostOnes.map(({ accountId, externalId, reason }) => ({ accountId, externalId, reason })),
    erased: erased.size,
  };
}

/** Whether an earlier backup, or one that was interrupted, has copied the audio. It was verified then. */
async function isThere(
  to: FileStore,
  recording: PlayableRecording,
  verify: boolean,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const { size } = await to.stat(recording.key);
    if (size !== recording.size) throw new Problem('version_changed');
    if (verify) await verifyAudio(to, recording, signal);
    return true;
  } catch (error) {
    if (!isLoss(error)) throw error;
    // Removes damaged audio, and what a killed backup left of it.
    await to.remove(recording.key);
    return false;
  }
}

async function add(
  to: FileStore,
  from: Origin,
  store: FileStore | undefined,
  recording: PlayableRecording,
  signal: AbortSignal,
): Promise<void> {
  if (store) {
    const etag = await verifyAudio(store, recording, signal);
    if (await to.link(recording.key, store, { etag, size: recording.size })) return;
  }
  await copyAudio(from, to, recording, signal);
}

/** @throws Error if audio is missing because it was replaced and then removed, which must not happen during a backup */
async function requireHold(db: Database, recording: PlayableRecording): Promise<void> {
  const current = await db.kysely
    .selectFrom('recordings')
    .select('key')
    .where('id', '=', recording.id)
    .executeTakeFirst();
  if (current === undefined || current.key === recording.key) return;
  throw new Error('The backup was suspended for so long that replaced audio was removed: run it again.');
}
