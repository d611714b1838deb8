import type { ExpressionBuilder, Kysely, SelectQueryBuilder } from 'kysely';
import type { CallData } from '../crm/call.ts';
import { partiesOf } from '../crm/parties.ts';
import type { RecordingRow, Schema } from '../db/schema.ts';

export interface PartyQuery {
  /** A party as `crm/parties.ts` writes it. */
  party: string;
  accountId?: string | undefined;
  /** Whether a legal hold is on the recordings. */
  isHeld: boolean;
}

/** A recording whose call names a party. */
export interface PartyMatch {
  accountId: string;
  externalId: string;
  createdAt: Date;
}

/** Stores who took part in the call of a recording, in place of what was stored before. */
export async function storeParties(
  trx: Kysely<Schema>,
  { id, call }: Pick<RecordingRow, 'id' | 'call'>,
): Promise<void> {
  await trx.deleteFrom('call_parties').where('recording_id', '=', id).execute();
  const parties = call === null ? [] : partiesOf(JSON.parse(call) as CallData);
  if (parties.length === 0) return;
  await trx
    .insertInto('call_parties')
    .values(parties.map((party) => ({ recording_id: id, party })))
    .execute();
}

/**
 * Recordings whose call names the party, by their ids.
 *
 * @param after the `last` of the page before this one
 * @returns `last` is undefined if this is the last page
 */
export async function findByParty(
  db: Kysely<Schema>,
  query: PartyQuery,
  { after = '', limit }: { after?: string; limit: number },
): Promise<{ matches: PartyMatch[]; last: string | undefined }> {
  const rows = await matches(db, query)
    .select(['recordings.id', 'recordings.account_id', 'recordings.external_id', 'recordings.created_at'])
    .where('call_parties.recording_id', '>', after)
    .orderBy('call_parties.recording_id')
    .limit(limit)
    .execute();
  const found = rows.map((row) => ({
    accountId: row.account_id,
    externalId: row.external_id,
    createdAt: new Date(row.created_at),
  }));
  return { matches: found, last: rows.length === limit ? rows.at(-1)!.id : undefined };
}

/** How many recordings `findByParty` finds. */
export async function countByParty(db: Kysely<Schema>, query: PartyQuery): Promise<number> {
  const { count } = await matches(db, query)
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow();
  return Number(count);
}

type Joined = SelectQueryBuilder<Schema, 'call_parties' | 'recordings', object>;

function matches(db: Kysely<Schema>, { party, accountId, isHeld }: PartyQuery): Joined {
  return db
    .selectFrom('call_parties')
    .innerJoin('recordings', 'recordings.id', 'call_parties.recording_id')
    .where('call_parties.party', '=', party)
    .where((eb) => (isHeld ? hasHold(eb) : eb.not(hasHold(eb))))
    .$if(accountId !== undefined, (select) => select.where('recordings.account_id', '=', accountId!));
}

function hasHold(eb: ExpressionBuilder<Schema, 'call_parties' | 'recordings'>) {
  return eb.exists(
    eb
      .selectFrom('holds')
      .select('holds.account_id')
      .whereRef('holds.account_id', '=', 'recordings.account_id')
      .where((inner) =>
        inner.or([
          inner('holds.external_id', '=', ''),
          inner('holds.external_id', '=', inner.ref('recordings.external_id')),
        ]),
      ),
  );
}
