import type { Changes } from '../db/changes.ts';
import { recordingSubject } from '../db/recording-subject.ts';
import { BlockDigests } from './block-digests.ts';
import { StoreKeys } from './store-keys.ts';

/**
 * Gives a recording the same audio, which was compared with its SHA-256, under another store key. That key must be
 * pending. The audio under the old key is kept for `keepMs`.
 *
 * @returns false if the recording was replaced or removed meanwhile
 * @throws Problem `busy` if the new key has expired
 */
export function moveKey(
  changes: Changes,
  before: { id: string; key: string },
  after: { key: string; originEtag: string },
  keepMs: number,
): Promise<boolean> {
  return changes.transaction(async (trx, record) => {
    const row = await trx
      .updateTable('recordings')
      .set({ key: after.key, origin_etag: after.originEtag, verified_at: Date.now(), damaged_at: null })
      .where('id', '=', before.id)
      .where('key', '=', before.key)
      .returning(['account_id', 'external_id'])
      .executeTakeFirst();
    if (row === undefined) return false;
    const storeKeys = new StoreKeys(trx);
    await storeKeys.take(after.key);
    await new BlockDigests(trx).copy(before.key, after.key);
    await storeKeys.replace(before.key, before.id, keepMs);
    await record('recording', recordingSubject(row.account_id, row.external_id));
    return true;
  });
}
