import { contactParty, numberParty } from '../crm/parties.ts';
import type { Database } from '../db/open.ts';
import { isProblem, Problem } from '../errors.ts';
import type { Ingest } from '../ingest/ingest.ts';
import { countByParty, findByParty, type PartyMatch, type PartyQuery } from '../recordings/call-parties.ts';

/** Whose recordings are meant: those whose call names this number, or this contact of the account's portal. */
export interface Person {
  number?: string | undefined;
  contact?: string | undefined;
  /** Needed with a contact: the portals of other accounts have other contacts with the same id. */
  accountId?: string | undefined;
}

export interface ErasePersonParts {
  db: Database;
  ingest: Pick<Ingest, 'erase'>;
}

export type ErasedMatch = PartyMatch & {
  /** `held`: under a legal hold, so it was not erased. */
  outcome: 'erased' | 'held';
};

const rowsAtOnce = 200;

/** How many recordings name the person: those that can be erased, and those under a legal hold. @throws as `recordingsOf` */
export async function countRecordingsOf(
  db: Database,
  person: Person,
): Promise<{ free: number; held: number }> {
  const query = queryOf(person);
  return {
    free: await countByParty(db.kysely, { ...query, isHeld: false }),
    held: await countByParty(db.kysely, { ...query, isHeld: true }),
  };
}

/**
 * The recordings that name the person and can be erased, or those that are under a legal hold.
 *
 * @throws Problem `invalid_request` if the person is not named by a number with digits, or by a contact and an account
 */
export async function* recordingsOf(
  db: Database,
  person: Person,
  { isHeld }: { isHeld: boolean },
): AsyncGenerator<PartyMatch> {
  const query = { ...queryOf(person), isHeld };
  for (let after: string | undefined = ''; after !== undefined; ) {
    const page = await findByParty(db.kysely, query, { after, limit: rowsAtOnce });
    yield* page.matches;
    after = page.last;
  }
}

/** Erases the recordings that name the person, one after the other, and yields each. @throws as `recordingsOf` */
export async function* erasePerson(
  { db, ingest }: ErasePersonParts,
  person: Person,
): AsyncGenerator<ErasedMatch> {
  for await (const match of recordingsOf(db, person, { isHeld: false })) {
    try {
      await ingest.erase(match.accountId, match.externalId);
      yield { ...match, outcome: 'erased' };
    } catch (error) {
      if (!isProblem(error, 'held')) throw error; // placed since it was found
      yield { ...match, outcome: 'held' };
    }
  }
}

function queryOf({ number, contact, accountId }: Person): Omit<PartyQuery, 'isHeld'> {
  if (number === undefined && contact !== undefined && accountId !== undefined)
    return { party: contactParty(contact), accountId };
  const party = number !== undefined && contact === undefined ? numberParty(number) : undefined;
  if (party !== undefined) return { party, accountId };
  throw new Problem(
    'invalid_request',
    'Name the person by a telephone number, or by a contact id and the account whose HubSpot portal has the contact.',
  );
}
