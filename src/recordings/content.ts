import type { Changes } from '../db/changes.ts';
import { recordingSubject } from '../db/recording-subject.ts';
import { BlockDigests } from './block-digests.ts';
import type { PlayableRecording } from './recording.ts';

/** The bytes that were checked, as the store has them. */
export interface Content {
  originEtag: string;
  blockDigests: string;
}

/**
 * Stores what the bytes of a recording are: those that were checked, in this version of the origin and with these
 * digests of their blocks, or others, or none.
 *
 * @returns false if the recording was replaced, moved or removed meanwhile
 */
export async function setContent(
  changes: Changes,
  before: PlayableRecording,
  content: Content | 'damaged' | 'missing',
): Promise<boolean> {
  const now = Date.now();
  const damagedAt = before.damagedAt?.getTime() ?? null;
  const found = {
    damaged: { damaged_at: damagedAt ?? now },
    missing: {}, // it cannot be played anyway, and the right bytes may come back
  };
  return changes.transaction(async (trx, record) => {
    const row = await trx
      .updateTable('recordings')
      .set({
        verified_at: now,
        ...(typeof content === 'string'
          ? found[content]
          : { damaged_at: null, origin_etag: content.originEtag }),
      })
      .where('id', '=', before.id)
      .where('key', '=', before.key)
      .where('origin_etag', '=', before.originEtag)
      .returning(['damaged_at', 'origin_etag'])
      .executeTakeFirst();
    if (row === undefined) return false;
    const hasNewDigests =
      typeof content !== 'string' && (await new BlockDigests(trx).add(before.key, content.blockDigests));
    const isNews = row.damaged_at !== damagedAt || row.origin_etag !== before.originEtag || hasNewDigests;
    if (isNews) await record('recording', recordingSubject(before.accountId, before.externalId));
    return true;
  });
}
