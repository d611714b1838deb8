import type { FastifyInstance, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { Problem } from '../errors.ts';
import type { Parts } from '../parts.ts';
import { retention as kind, retentionText } from '../settings/kinds.ts';
import { holdResource } from './holds.ts';
import type { Limits } from './limits.ts';
import { AccountParams } from './recording-resource.ts';

const AccountInput = Type.Object(
  {
    retention: Type.String({
      minLength: 1,
      maxLength: 20,
      description:
        'How long recordings are kept, such as `90d`. `0` is for ever, `default` is as PLAYHEAD_RETENTION says',
    }),
  },
  { additionalProperties: false },
);

type ShowRequest = FastifyRequest<{ Params: Static<typeof AccountParams> }>;
type ChangeRequest = FastifyRequest<{ Params: ShowRequest['params']; Body: Static<typeof AccountInput> }>;

/** `/v1/accounts`: what is set for one account of the phone system. */
export function accountRoutes(app: FastifyInstance, parts: Parts, limits: Limits): void {
  const { holds, retentionRules } = parts;
  const config = { rateLimit: limits.perKey };
  const url = '/v1/accounts/:accountId';
  const tags = ['accounts'];
  const showSchema = {
    tags,
    summary: 'Get how long the recordings of an account are kept',
    params: AccountParams,
  };
  const changeSchema = { ...showSchema, summary: 'Set how long the recordings of an account are kept' };
  app.get(url, { config, schema: showSchema }, async ({ params }: ShowRequest) => show(params.accountId));
  app.put(url, { config, schema: { ...changeSchema, body: AccountInput } }, change);

  async function change({ params: { accountId }, body: { retention } }: ChangeRequest) {
    if (retention === 'default') await retentionRules.clear(accountId);
    else await retentionRules.set({ accountId, retentionMs: parse(retention) });
    return show(accountId);
  }

  async function show(accountId: string) {
    const rule = await retentionRules.of(accountId);
    const hold = await holds.on({ accountId });
    return {
      accountId,
      retention: rule ? retentionText(rule.retentionMs) : 'default',
      retentionInForce: retentionText(rule?.retentionMs ?? retentionRules.defaultMs),
      ...(hold && { hold: holdResource(hold) }),
    };
  }
}

function parse(retention: string): number {
  try {
    return kind.parse(retention);
  } catch (error) {
    throw new Problem('invalid_request', `The field retention ${(error as Error).message}.`);
  }
}
