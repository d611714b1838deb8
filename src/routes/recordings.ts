import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';
import { RecordingInput, readRecordingInput } from '../ingest/input.ts';
import type { Parts } from '../parts.ts';
import type { Recording } from '../recordings/recording.ts';
import { publicBase, streamUrl } from '../urls.ts';
import { holdResource } from './holds.ts';
import type { AccountLimit, Limits } from './limits.ts';
import { ListQuery, RecordingParams, recordingResource } from './recording-resource.ts';
import { callerOf, requireAccount, requireEveryAccount } from './scope.ts';
import { disconnectSignal, readUpload } from './uploads.ts';

type OneRequest = FastifyRequest<{ Params: RecordingParams }>;
type ListRequest = FastifyRequest<{ Querystring: ListQuery }>;

const tags = ['recordings'];
const createSchema = {
  tags,
  summary: 'Ingest a recording',
  description:
    'Send JSON with a `source`. Or send a form: first the part `recording` (this JSON without `source`), then the part `audio` (the file).',
  consumes: ['application/json', 'multipart/form-data'],
  body: RecordingInput,
};
const listSchema = { tags, summary: 'List recordings', querystring: ListQuery };

/** `/v1/recordings`, for the backend of a phone system. */
export function recordingRoutes(
  app: FastifyInstance,
  parts: Parts,
  limits: Limits,
  accountLimit: AccountLimit,
): void {
  const { catalog, holds, ingest, publisher, retentionRules, sources, tokens } = parts;
  const config = { rateLimit: limits.perKey };
  const all = '/v1/recordings';
  const one = '/v1/recordings/:accountId/:externalId';
  // Leaves validation to `create`, because the body may be a form, which is read while it arrives.
  const validatorCompiler = () => (value: unknown) => ({ value });

  app.post(all, { config, schema: createSchema, validatorCompiler }, create);
  app.get(all, { config, schema: listSchema }, list);
  app.get(one, optionsOf('Get a recording'), show);
  app.delete(one, optionsOf('Erase a recording'), erase);
  app.post(`${one}/url`, optionsOf('Create an authenticated URL of a recording'), createUrl);
  app.post(`${one}/revoke`, optionsOf('Revoke the authenticated URLs of a recording'), revoke);
  app.post(
    `${one}/publish`,
    optionsOf('Publish a recording to HubSpot: the steps that are still missing'),
    publish,
  );

  function optionsOf(summary: string) {
    return { config, schema: { tags, summary, params: RecordingParams } };
  }

  async function create(request: FastifyRequest, reply: FastifyReply) {
    const accept = request.isMultipart() ? acceptUpload : acceptSource;
    const { outcome, recording } = await accept(request, disconnectSignal(reply));
    return reply.code(outcome === 'created' ? 201 : 200).send(recordingResource(recording));
  }

  async function acceptUpload(request: FastifyRequest, signal: AbortSignal) {
    const { recording, fileName, audio } = await readUpload(request);
    const { source, mode, ...offer } = readRecordingInput(recording);
    await admit(request, offer.accountId);
    if (mode) throw new Problem('invalid_request', 'The field mode is for a source, not for an upload.');
    if (source)
      throw new Problem('invalid_request', 'Send the field source or the part "audio", but not both.');
    return ingest.accept({ fileName, ...offer }, audio, signal);
  }

  async function acceptSource(request: FastifyRequest, signal: AbortSignal) {
    const { source, mode, ...offer } = readRecordingInput(request.body);
    await admit(request, offer.accountId);
    // Sources are read with the gateway's own credentials, and belong to no account.
    requireEveryAccount(callerOf(request), 'A source');
    if (!source)
      throw new Problem(
        'invalid_request',
        'The field source is missing. Send it, or send a form with the audio.',
      );
    if (mode === 'proxy') return ingest.refer(offer, sources.refer(source), signal);
    return ingest.accept(offer, await sources.open(source, signal), signal);
  }

  /** Before anything is read of the audio. */
  async function admit(request: FastifyRequest, accountId: string): Promise<void> {
    requireAccount(callerOf(request), accountId);
    await accountLimit.add(request, accountId);
  }

  async function list(request: ListRequest) {
    const { limit = 50, ...filters } = request.query;
    const { accountIds } = callerOf(request);
    const { recordings, next } = await catalog.list({ ...filters, accountIds, limit });
    return { recordings: recordings.map(recordingResource), ...(next && { next }) };
  }

  async function show(request: OneRequest) {
    const recording = await find(request);
    const publication = await publisher.status(recording);
    const hold = await holds.on(recording);
    const expiresAt = hold ? undefined : await retentionRules.endOf(recording);
    return {
      ...recordingResource(recording),
      ...(expiresAt && { expiresAt }),
      ...(hold && { hold: holdResource(hold) }),
      publication: publication ?? null,
    };
  }

  async function erase(request: OneRequest, reply: FastifyReply) {
    const { accountId, externalId } = await find(request);
    await ingest.erase(accountId, externalId);
    return reply.code(204).send();
  }

  async function createUrl(request: OneRequest) {
    const recording = await find(request);
    if (!recording.key)
      throw new Problem('not_found', 'The audio of this recording was rejected, so it has no URL.');
    const { token, expiresAt } = await tokens.sign(recording);
    return { authenticatedUrl: streamUrl(publicBase(parts.config, app), token), expiresAt };
  }

  async function revoke(request: OneRequest, reply: FastifyReply) {
    const { accountId, externalId } = await find(request);
    await tokens.revoke({ accountId, externalId });
    return reply.code(204).send();
  }

  async function publish(request: OneRequest, reply: FastifyReply) {
    const recording = await find(request);
    return reply.code(202).send(await publisher.publish(recording));
  }

  async function find({ params: { accountId, externalId } }: OneRequest): Promise<Recording> {
    const recording = await catalog.read(accountId, externalId);
    if (!recording) throw new Problem('not_found');
    return recording;
  }
}
