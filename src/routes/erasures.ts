import type { FastifyInstance, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { countRecordingsOf, erasePerson, recordingsOf } from '../maintenance/erase-person.ts';
import type { Parts } from '../parts.ts';
import type { PartyMatch } from '../recordings/call-parties.ts';
import type { Limits } from './limits.ts';
import { callerOf, requireAccount, requireEveryAccount } from './scope.ts';

/** Of one request. */
const maxErasures = 200;

const ErasureInput = Type.Object(
  {
    number: Type.Optional(
      Type.String({ maxLength: 256, description: 'Recordings whose call is from or to this number' }),
    ),
    contact: Type.Optional(
      Type.String({
        maxLength: 100,
        description: 'Recordings whose call is associated with this HubSpot contact; needs `accountId`',
      }),
    ),
    accountId: Type.Optional(Type.String({ description: 'Only recordings of this account' })),
    dryRun: Type.Optional(Type.Boolean({ description: 'Only list what would be erased' })),
  },
  { additionalProperties: false },
);

type ErasureRequest = FastifyRequest<{ Body: Static<typeof ErasureInput> }>;

const schema = {
  tags: ['erasures'],
  summary: 'Erase the recordings whose call names a person',
  description: `At most ${maxErasures} recordings in one request. Send the request again until \`remaining\` is 0. What is under a legal hold stays and is listed.`,
  body: ErasureInput,
};

/** Erases all recordings of a person, by a telephone number or a contact. */
export function erasureRoutes(app: FastifyInstance, parts: Parts, limits: Limits): void {
  const { db } = parts;
  app.post('/v1/erasures', { config: { rateLimit: limits.perKey }, schema }, erase);

  async function erase(request: ErasureRequest) {
    const { dryRun = false, ...person } = request.body;
    if (person.accountId === undefined)
      requireEveryAccount(callerOf(request), 'An erasure without accountId');
    else requireAccount(callerOf(request), person.accountId);
    const { free, held } = await countRecordingsOf(db, person);
    const matches = dryRun ? recordingsOf(db, person, { isHeld: false }) : erased(person);
    const recordings = await firstOf(matches);
    return {
      dryRun,
      count: free + held,
      recordings,
      held: await firstOf(recordingsOf(db, person, { isHeld: true })),
      remaining: Math.max(0, free - recordings.length),
    };
  }

  async function* erased(person: Parameters<typeof erasePerson>[1]): AsyncGenerator<PartyMatch> {
    for await (const { outcome, ...match } of erasePerson(parts, person))
      if (outcome === 'erased') yield match;
  }
}

async function firstOf(matches: AsyncIterable<PartyMatch>): Promise<PartyMatch[]> {
  const first: PartyMatch[] = [];
  for await (const match of matches) {
    first.push(match);
    if (first.length === maxErasures) break;
  }
  return first;
}
