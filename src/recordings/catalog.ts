import type { Kysely, Transaction } from 'kysely';
import { LRUCache } from 'lru-cache';
import type { CallData } from '../crm/call.ts';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { recordingSubject } from '../db/recording-subject.ts';
import type { RecordingRow, Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import { blocksOf } from '../origins/cache/block.ts';
import { BlockDigests } from './block-digests.ts';
import { storeParties } from './call-parties.ts';
import { requireNoHold } from './holds.ts';
import { type ListQuery, listRecordings, type RecordingPage } from './list.ts';
import {
  type AcceptedRecording,
  fromRow,
  isId,
  isPlayable,
  isSameAudio,
  type PlayableRecording,
  type Recording,
  type RecordingIds,
  type RejectedRecording,
  rejectedRow,
  requireIds,
  rowOf,
} from './recording.ts';
import { StoreKeys } from './store-keys.ts';

export interface PutResult {
  outcome: 'created' | 'replaced' | 'same';
  recording: Recording;
  /**
   * The recording as it was before, if its audio was replaced. Its store key has expired: remove its audio, then
   * delete the key (StoreKeys).
   */
  replaced?: Recording;
}

/** Throws if a recording must stay, as it is found in this transaction. */
export type RequireRemovable = (trx: Kysely<Schema>, recording: Recording) => Promise<void>;

/** What another part of the database has of a recording. It begins and ends in the transactions of the recording. */
export interface Attachment {
  /** Locks it. Called first in a transaction, so that all take their locks in one order. */
  lock(trx: Transaction<Schema>, ids: RecordingIds): Promise<void>;
  /** The recording has new audio. */
  put(trx: Transaction<Schema>, recording: Recording): Promise<void>;
  /** The recording is erased. */
  remove(trx: Transaction<Schema>, ids: RecordingIds): Promise<void>;
}

export interface PutOptions {
  /** Whether to replace other audio that the recording has. */
  replace: boolean;
  /** Whether the store has lost the audio, so that the same bytes take its place. */
  isLost?: boolean;
}

/** Characters of JSON in memory: about ten thousand recordings. */
const maxCacheCharacters = 32 * 1024 * 1024;

/** Every recording, by its accountId and its externalId: the phone system's ids of the account and of the call. */
export class Catalog {
  readonly #db: Database;
  readonly #changes: Changes;
  readonly #attachments: readonly Attachment[];
  readonly #cache = new LRUCache<string, Recording>({
    maxSize: maxCacheCharacters,
    sizeCalculation: (recording) => JSON.stringify(recording).length,
  });
  /** Counts invalidations. A read that began before one may be stale and is not cached. */
  #invalidations = 0;

  constructor(db: Database, changes: Changes, attachments: readonly Attachment[] = []) {
    this.#db = db;
    this.#changes = changes;
    this.#attachments = attachments;
    changes.on('recording', (subject) => {
      this.#invalidations += 1;
      this.#cache.delete(subject);
    });
  }

  /**
   * Every stream request calls this, so a cached recording costs no query. Changes by other processes appear
   * within seconds. A rejected recording is found too; its key is null.
   */
  async get(accountId: string, externalId: string): Promise<Recording | undefined> {
    return (
      this.#cache.get(recordingSubject(accountId, externalId)) ?? (await this.read(accountId, externalId))
    );
  }

  /** As `get`, but always from the database. */
  async read(accountId: string, externalId: string): Promise<Recording | undefined> {
    if (!isId(accountId) || !isId(externalId)) return undefined;
    const subject = recordingSubject(accountId, externalId);
    const invalidations = this.#invalidations;
    const row = await this.#db.kysely
      .selectFrom('recordings')
      .leftJoin('block_digests', 'block_digests.key', 'recordings.key')
      .selectAll('recordings')
      .select('block_digests.digests')
      .where('account_id', '=', accountId)
      .where('external_id', '=', externalId)
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const recording = fromRow(row);
    if (invalidations === this.#invalidations) this.#cache.set(subject, recording);
    return recording;
  }

  /** Playable recordings with this id in any account. At most two: enough to see that the id is not unique. */
  async findByExternalId(externalId: string): Promise<Recording[]> {
    if (!isId(externalId)) return [];
    const rows = await this.#db.kysely
      .selectFrom('recordings')
      .selectAll()
      .where('external_id', '=', externalId)
      .where('key', 'is not', null)
      .limit(2)
      .execute();
    return rows.map(fromRow);
  }

  /**
   * Makes accepted audio playable. A store key must be pending (StoreKeys); the recording takes it in the same
   * transaction. After `same` the key is still pending: remove the new audio, then delete the key.
   *
   * @throws Problem `invalid_request` if an id is out of bounds, `conflict` if the recording has other audio and
   *   `replace` is false, `held` if it has other audio under a legal hold, `busy` if the store key has expired
   */
  async put(input: AcceptedRecording, { replace, isLost = false }: PutOptions): Promise<PutResult> {
    requireIds(input);
    return this.#changes.transaction(async (trx, record) => {
      for (const attachment of this.#attachments) await attachment.lock(trx, input);
      const fresh = rowOf(input, Date.now());
      if (await this.#insert(trx, fresh)) {
        await takeAudio(trx, input);
        return { outcome: 'created', recording: await this.#attach(trx, fresh) };
      }

      const before = fromRow(await this.#lock(trx, input));
      const isRestored = isLost && isSameAudio(before, input);
      if (isSameAudio(before, input) && !isRestored) return { outcome: 'same', recording: before };
      if (before.key !== null && !replace && !isRestored) throw new Problem('conflict');
      if (before.key !== null && !isRestored) await requireNoHold(trx, this.#db.engine, input);

      // The retention of a recording begins with its first audio.
      const createdAt = before.key === null ? fresh.created_at : before.createdAt.getTime();
      const row = { ...fresh, id: before.id, created_at: createdAt };
      await trx.updateTable('recordings').set(row).where('id', '=', before.id).execute();
      await storeParties(trx, row);
      await takeAudio(trx, input);
      if (before.origin === 'store' && before.key !== null)
        await new StoreKeys(trx).replace(before.key, before.id, 0);
      if (isPlayable(before)) await record('audio', audioSubjectOf(before));
      await record('recording', recordingSubject(input.accountId, input.externalId));
      const recording = await this.#attach(trx, row);
      const hadAudio = before.key !== null;
      return hadAudio
        ? { outcome: 'replaced', recording, replaced: before }
        : { outcome: 'created', recording };
    });
  }

  /** Replaces the call data and keeps the audio. @returns undefined if there is no such recording */
  async updateCall(accountId: string, externalId: string, call: CallData): Promise<Recording | undefined> {
    return this.#changes.transaction(async (trx, record) => {
      const row = await trx
        .updateTable('recordings')
        .set({ call: JSON.stringify(call), updated_at: Date.now() })
        .where('account_id', '=', accountId)
        .where('external_id', '=', externalId)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) return undefined;
      await storeParties(trx, row);
      await record('recording', recordingSubject(accountId, externalId));
      return fromRow(row);
    });
  }

  /**
   * Keeps the report on rejected audio. Audio that was accepted before stays playable.
   *
   * @throws Problem `invalid_request` if an id is out of bounds
   */
  async reject(input: RejectedRecording): Promise<Recording> {
    requireIds(input);
    return this.#changes.transaction(async (trx, record) => {
      const now = Date.now();
      const fresh = rejectedRow(input, now);
      if (await this.#insert(trx, fresh)) return fromRow(fresh);

      const before = await this.#lock(trx, input);
      const row =
        before.key === null
          ? { ...fresh, id: before.id, created_at: before.created_at }
          : { ...before, refusal: fresh.refusal, updated_at: now };
      await trx.updateTable('recordings').set(row).where('id', '=', row.id).execute();
      await storeParties(trx, row);
      await record('recording', recordingSubject(input.accountId, input.externalId));
      return fromRow(row);
    });
  }

  /**
   * Deletes a recording and what is attached to it. Its store key expires: remove its audio, then delete the key
   * (StoreKeys).
   *
   * @param requireRemovable is called in the transaction. If it throws, the recording stays
   * @throws Problem `held` if the recording is under a legal hold
   */
  async remove(
    accountId: string,
    externalId: string,
    requireRemovable: RequireRemovable = async () => {},
  ): Promise<Recording | undefined> {
    if (!isId(accountId) || !isId(externalId)) return undefined;
    return this.#changes.transaction(async (trx, record) => {
      for (const attachment of this.#attachments) await attachment.lock(trx, { accountId, externalId });
      const row = await trx
        .deleteFrom('recordings')
        .where('account_id', '=', accountId)
        .where('external_id', '=', externalId)
        .returningAll()
        .executeTakeFirst();
      if (row === undefined) return undefined;
      const removed = fromRow(row);
      await requireNoHold(trx, this.#db.engine, removed);
      await requireRemovable(trx, removed);
      await new StoreKeys(trx).expire(removed.origin === 'store' ? removed.key : null, removed.id);
      for (const attachment of this.#attachments) await attachment.remove(trx, removed);
      if (isPlayable(removed)) await record('audio', audioSubjectOf(removed));
      await record('recording', recordingSubject(accountId, externalId));
      return removed;
    });
  }

  /** One page of recordings. @throws Problem `invalid_request` if the cursor is not a `next` of an earlier page */
  list(query: ListQuery): Promise<RecordingPage> {
    return listRecordings(this.#db.kysely, query);
  }

  /** @returns whether the row was new. If two processes insert the same ids at once, the later waits for the first. */
  async #insert(trx: Kysely<Schema>, row: RecordingRow): Promise<boolean> {
    const inserted = await trx
      .insertInto('recordings')
      .values(row)
      .onConflict((conflict) => conflict.columns(['account_id', 'external_id']).doNothing())
      .returning('id')
      .executeTakeFirst();
    if (inserted !== undefined) await storeParties(trx, row);
    return inserted !== undefined;
  }

  async #attach(trx: Transaction<Schema>, row: RecordingRow): Promise<Recording> {
    const recording = fromRow(row);
    for (const attachment of this.#attachments) await attachment.put(trx, recording);
    return recording;
  }

  async #lock(trx: Kysely<Schema>, ids: RecordingIds): Promise<RecordingRow> {
    return (
      trx
        .selectFrom('recordings')
        .selectAll()
        .where('account_id', '=', ids.accountId)
        .where('external_id', '=', ids.externalId)
        .$if(this.#db.engine === 'postgres', (select) => select.forUpdate())
        // Another process removed the row between our insert and this select.
        .executeTakeFirstOrThrow(() => new Problem('busy', undefined, { retryAfter: 1 }))
    );
  }
}

/** The subject of a removal of audio: what caches must forget. */
function audioSubjectOf({ origin, key, originEtag, size }: PlayableRecording): string {
  return JSON.stringify(blocksOf(origin, key, originEtag, size));
}

/** Gives a recording the store key of its audio, which must be pending. @throws Problem `busy` if it has expired */
async function takeAudio(trx: Kysely<Schema>, input: AcceptedRecording): Promise<void> {
  if (input.origin !== 'store') return;
  await new StoreKeys(trx).take(input.key);
  if (input.blockDigests) await new BlockDigests(trx).add(input.key, input.blockDigests);
}
