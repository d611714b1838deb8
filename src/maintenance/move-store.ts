import { setTimeout as sleep } from 'node:timers/promises';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { isProblem } from '../errors.ts';
import type { StoredAudio } from '../ingest/stored-audio.ts';
import type { StoreMove } from '../origins/open.ts';
import type { Store } from '../origins/origin.ts';
import { storedRecordings } from '../recordings/list.ts';
import { moveKey } from '../recordings/move-key.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import type { StoreKeys } from '../recordings/store-keys.ts';
import { beginStoreMove, endStoreMove } from '../recordings/store-moves.ts';
import type { Config } from '../settings/config.ts';
import { runAlone } from './run-alone.ts';
import { copyAudio, each, isLoss } from './whole-audio.ts';

export interface MoveStoreOptions {
  db: Database;
  changes: Changes;
  storeKeys: StoreKeys;
  storedAudio: StoredAudio;
  move: StoreMove;
  config: Pick<Config, 'store' | 'storeBefore'>;
  onProgress(progress: MoveStoreProgress): void;
}

export interface MoveStoreProgress {
  /** Recordings that this run has moved. */
  moved: number;
  bytes: number;
  /** Recordings that were looked at in this pass. */
  done: number;
  /** Expired keys whose audio is kept for listeners. Undefined until all recordings are moved. */
  kept?: number;
}

export interface MoveStoreSummary {
  moved: number;
  bytes: number;
  /** Recordings whose audio is lost or damaged in the old store. They were not moved. */
  lost: { accountId: string; externalId: string }[];
}

/**
 * How long the old audio of a moved recording stays. Other processes learn of the move within seconds, and listeners
 * read on from the old audio meanwhile. A listener whose audio is removed gets a broken connection, and the rest from
 * the new store with its next request.
 */
const keepMs = 300_000;
const lookEveryMs = 1_000;

/**
 * Moves every recording from the old store to the new one, while gateways serve that know both. Each recording is
 * moved by itself: a pending key, a verified copy, and one transaction that gives the key to the recording. Killed at
 * any instant, nothing is lost, and the next run continues. Passes over all recordings until one finds none to move,
 * then waits until the old audio is removed.
 *
 * @throws Error with a sentence if another process moves, and what the database and the stores throw
 */
export async function moveStore(options: MoveStoreOptions): Promise<MoveStoreSummary> {
  const release = await runAlone(
    options.db,
    'move store',
    'Another playhead move-store runs: try again later.',
  );
  try {
    await beginStoreMove(options.db.kysely, options.config);
    const progress: MoveStoreProgress = { moved: 0, bytes: 0, done: 0 };
    let last: Pass;
    do {
      progress.done = 0;
      last = await pass(options, progress);
    } while (!last.isComplete);
    await untilRemoved(options, progress);
    if (last.lost.length === 0) await endStoreMove(options.db.kysely);
    return { moved: progress.moved, bytes: progress.bytes, lost: last.lost };
  } finally {
    await release();
  }
}

interface Pass {
  lost: MoveStoreSummary['lost'];
  /** Whether every recording was in the new store already, or is lost. */
  isComplete: boolean;
}

async function pass(options: MoveStoreOptions, progress: MoveStoreProgress): Promise<Pass> {
  const lost: MoveStoreSummary['lost'] = [];
  let isComplete = true;
  for await (const recordings of storedRecordings(options.db.kysely)) {
    await each(recordings, async (recording, signal) => {
      const outcome = await moveOne(options, recording, signal);
      if (outcome === 'moved') {
        progress.moved += 1;
        progress.bytes += recording.size;
      }
      const { accountId, externalId } = recording;
      if (outcome === 'lost') lost.push({ accountId, externalId });
      else if (outcome !== 'there') isComplete = false;
      progress.done += 1;
      options.onProgress(progress);
    });
  }
  return { lost, isComplete };
}

/** `there`: it was in the new store already. `changed`: it was replaced or erased meanwhile. */
type Outcome = 'there' | 'moved' | 'changed' | 'lost';

async function moveOne(
  options: MoveStoreOptions,
  recording: PlayableRecording,
  signal: AbortSignal,
): Promise<Outcome> {
  const { changes, storedAudio, move } = options;
  if (await isIn(move.to, recording.key, signal)) return 'there';
  try {
    return await storedAudio.withNewKey(async (key) => {
      const { etag } = await copyAudio(move.from, move.to, recording, signal, key);
      if (await moveKey(changes, recording, { key, originEtag: etag }, keepMs)) return 'moved';
      await storedAudio.discard(key);
      return 'changed';
    });
  } catch (error) {
    if (isProblem(error, 'busy')) return 'changed'; // the lease of the new key ran out
    if (!isLoss(error)) throw error;
    return (await isCurrent(options.db, recording)) ? 'lost' : 'changed';
  }
}

async function isIn(store: Store, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    await store.stat(key, signal);
    return true;
  } catch (error) {
    if (isProblem(error, 'not_found')) return false;
    throw error;
  }
}

/** Whether the recording still has this key. */
async function isCurrent({ kysely }: Database, { id, key }: PlayableRecording): Promise<boolean> {
  const row = await kysely.selectFrom('recordings').select('key').where('id', '=', id).executeTakeFirst();
  return row?.key === key;
}

/** Waits until no audio is left that no recording has: it would stay in the old store for ever. */
async function untilRemoved(
  { storedAudio, storeKeys, onProgress }: MoveStoreOptions,
  progress: MoveStoreProgress,
): Promise<void> {
  for (;;) {
    await storedAudio.removeExpired();
    progress.kept = await storeKeys.countExpired();
    onProgress(progress);
    if (progress.kept === 0) return;
    await sleep(lookEveryMs);
  }
}
