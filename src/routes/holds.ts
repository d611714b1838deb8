import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { Problem } from '../errors.ts';
import type { Parts } from '../parts.ts';
import type { Hold } from '../recordings/holds.ts';
import type { Limits } from './limits.ts';
import { AccountParams, RecordingParams } from './recording-resource.ts';

const HoldInput = Type.Object(
  {
    reason: Type.String({
      minLength: 1,
      maxLength: 1024,
      description: 'Why, and who decides about the release',
    }),
  },
  { additionalProperties: false },
);

type Subject = { accountId: string; externalId?: string };
type PlaceRequest = FastifyRequest<{ Params: Subject; Body: Static<typeof HoldInput> }>;
type ReleaseRequest = FastifyRequest<{ Params: Subject }>;

/** Legal holds: what is held is neither erased nor replaced, nor does it end by its retention. */
export function holdRoutes(app: FastifyInstance, { holds }: Parts, limits: Limits): void {
  const config = { rateLimit: limits.perKey };
  for (const [url, params, what] of [
    ['/v1/recordings/:accountId/:externalId/hold', RecordingParams, 'a recording'],
    ['/v1/accounts/:accountId/hold', AccountParams, 'every recording of an account'],
  ] as const) {
    const placeSchema = {
      tags: ['holds'],
      summary: `Place a legal hold on ${what}`,
      params,
      body: HoldInput,
    };
    const releaseSchema = { tags: ['holds'], summary: `Release the legal hold on ${what}`, params };
    app.put(url, { config, schema: placeSchema }, place);
    app.delete(url, { config, schema: releaseSchema }, release);
  }

  async function place({ params, body: { reason } }: PlaceRequest) {
    return holdResource(await holds.place(params, reason));
  }

  async function release({ params }: ReleaseRequest, reply: FastifyReply) {
    if (!(await holds.release(params))) throw new Problem('not_found');
    return reply.code(204).send();
  }
}

/** A hold as `/v1` returns it. */
export function holdResource({ externalId, reason, placedAt }: Hold) {
  return { on: externalId === undefined ? 'account' : 'recording', reason, placedAt };
}
