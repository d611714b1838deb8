import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import type { Verdict } from '../unions.ts';
import { fromRow, isId, isPlayable, type PlayableRecording, type Recording } from './recording.ts';

export interface ListQuery {
  accountId?: string;
  /** Only recordings of these accounts. Undefined for every account. */
  accountIds?: ReadonlySet<string> | undefined;
  externalId?: string;
  verdict?: Verdict;
  limit: number;
  cursor?: string;
}

export interface RecordingPage {
  recordings: Recording[];
  /** The cursor of the next page. */
  next?: string;
}

/**
 * One page of recordings, newest first. If recordings are added or removed between two pages, no other recording is
 * repeated or skipped.
 *
 * @throws Problem `invalid_request` if the cursor is not a `next` of an earlier page
 */
export async function listRecordings(db: Kysely<Schema>, query: ListQuery): Promise<RecordingPage> {
  if ([query.accountId, query.externalId].some((id) => id !== undefined && !isId(id)))
    return { recordings: [] };
  let select = db
    .selectFrom('recordings')
    .selectAll()
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit + 1);
  if (query.accountId !== undefined) select = select.where('account_id', '=', query.accountId);
  if (query.externalId !== undefined) select = select.where('external_id', '=', query.externalId);
  if (query.accountIds !== undefined) select = select.where('account_id', 'in', [...query.accountIds]);
  if (query.verdict !== undefined) select = select.where('verdict', '=', query.verdict);
  if (query.cursor !== undefined) {
    const [createdAt, id] = parseCursor(query.cursor);
    select = select.where((eb) => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(createdAt, id)));
  }
  const rows = await select.execute();
  const recordings = rows.slice(0, query.limit).map(fromRow);
  const last = recordings.at(-1);
  return rows.length > query.limit && last ? { recordings, next: cursorAfter(last) } : { recordings };
}

function cursorAfter(last: Recording): string {
  return Buffer.from(JSON.stringify([last.createdAt.getTime(), last.id])).toString('base64url');
}

function parseCursor(cursor: string): [createdAt: number, id: string] {
  try {
    const [createdAt, id, ...rest] = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    const isUuid = typeof id === 'string' && /^[0-9a-f-]{36}$/.test(id);
    if (isUuid && Number.isSafeInteger(createdAt) && rest.length === 0) return [createdAt, id];
  } catch {
    // Not JSON: the error below.
  }
  throw new Problem('invalid_request', '"cursor" must be the "next" of an earlier response.');
}

const rowsAtOnce = 500;

/** Every recording whose audio is in the store, some hundred at a time, for work on all of them. */
export async function* storedRecordings(
  db: Kysely<Schema>,
  { accountId, externalId }: { accountId?: string | undefined; externalId?: string | undefined } = {},
): AsyncGenerator<PlayableRecording[]> {
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('recordings')
      .selectAll()
      .where('origin', '=', 'store')
      .where('key', 'is not', null)
      .where('id', '>', after)
      .$if(accountId !== undefined, (select) => select.where('account_id', '=', accountId!))
      .$if(externalId !== undefined, (select) => select.where('external_id', '=', externalId!))
      .orderBy('id')
      .limit(rowsAtOnce)
      .execute();
    if (rows.length === 0) return;
    yield rows.map(fromRow).filter(isPlayable);
    after = rows.at(-1)!.id;
  }
}

/**
 * Recordings in the store that were not compared with their SHA-256 since an instant, the longest not first. Each once,
 * though it may still be so afterwards. Each is read from the database when its turn comes.
 */
export async function* unverifiedRecordings(
  db: Kysely<Schema>,
  since: Date,
): AsyncGenerator<PlayableRecording> {
  for (let after = { verified_at: -1, id: '' }; ; ) {
    const row = await db
      .selectFrom('recordings')
      .selectAll()
      .where('origin', '=', 'store')
      .where('key', 'is not', null)
      .where('verified_at', '<', since.getTime())
      .where((eb) => eb(eb.refTuple('verified_at', 'id'), '>', eb.tuple(after.verified_at, after.id)))
      .orderBy('verified_at')
      .orderBy('id')
      .limit(1)
      .executeTakeFirst();
    if (row === undefined) return;
    after = row;
    const recording = fromRow(row);
    if (isPlayable(recording)) yield recording;
  }
}
