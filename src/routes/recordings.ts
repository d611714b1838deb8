import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';
import { RecordingInput, readRecordingInput } from '../ingest/input.ts';
import type { Parts } from '../parts.ts';
import type { Recording } from '../recordings/recording.ts';
import { publicBase, streamUrl } from '../urls.ts';
import type { Limits } from './limits.ts';
import { Id, ListQuery, recordingResource } from './recording-resource.ts';
import { departure, readUpload } from './uploads.ts';

const tags = ['recordings'];
const createSchema = {
  tags,
  summary: 'Put a recording in',
  description:
    'JSON that names a `source`, or a form: first the part `recording` (this JSON without `source`), then the part `audio` (the file).',
  consumes: ['application/json', 'multipart/form-data'],
  body: RecordingInput,
};

type OneRequest = FastifyRequest<{ Params: Id }>;
type ListRequest = FastifyRequest<{ Querystring: ListQuery }>;

/** `/v1/recordings`: what a phone system's backend puts in, asks about, shares and takes back. */
export function recordingRoutes(app: FastifyInstance, parts: Parts, limits: Limits): void {
  const { catalog, ingest, publisher, sources, tokens } = parts;
  const config = { rateLimit: limits.perKey };
  const one = '/v1/recordings/:accountId/:externalId';

  // The body may be a form that is read as it streams in: both kinds are validated by hand, once read.
  const validatorCompiler = () => (value: unknown) => ({ value });

  app.post('/v1/recordings', { config, schema: createSchema, validatorCompiler }, create);
  app.get(
    '/v1/recordings',
    { config, schema: { tags, summary: 'List recordings', querystring: ListQuery } },
    list,
  );
  app.get(one, { config, schema: { tags, summary: 'One recording', params: Id } }, show);
  app.delete(one, { config, schema: { tags, summary: 'Erase a recording', params: Id } }, erase);
  app.post(`${one}/url`, { config, schema: { tags, summary: 'An authenticated URL', params: Id } }, share);
  app.post(`${one}/revoke`, { config, schema: { tags, summary: 'Revoke its URLs', params: Id } }, revoke);

  const publishSchema = { tags, summary: 'Send it to HubSpot, or what is missing there', params: Id };
  app.post(`${one}/publish`, { config, schema: publishSchema }, publish);

  async function create(request: FastifyRequest, reply: FastifyReply) {
    const { outcome, recording } = await (request.isMultipart() ? accept : fetchSource)(
      request,
      departure(reply),
    );
    return reply.code(outcome === 'created' ? 201 : 200).send(recordingResource(recording));
  }

  async function accept(request: FastifyRequest, signal: AbortSignal) {
    const { recording, fileName, audio } = await readUpload(request);
    const { source, mode: _, ...offer } = readRecordingInput(recording);
    if (source)
      throw new Problem('invalid_request', 'The field source and the part "audio" exclude each other.');
    return ingest.accept({ fileName, ...offer }, audio, signal);
  }

  async function fetchSource(request: FastifyRequest, signal: AbortSignal) {
    const { source, mode, ...offer } = readRecordingInput(request.body);
    if (!source)
      throw new Problem('invalid_request', 'The field source is missing: JSON alone brings no audio.');
    if (mode === 'proxy') return ingest.refer(offer, sources.refer(source), signal);
    return ingest.accept(offer, await sources.open(source, signal), signal);
  }

  async function list(request: ListRequest) {
    const { limit = 50, ...filters } = request.query;
    const { recordings, next } = await catalog.list({ ...filters, limit } as Parameters<
      typeof catalog.list
    >[0]);
    return { recordings: recordings.map(recordingResource), ...(next && { next }) };
  }

  async function show(request: OneRequest) {
    const recording = await find(request);
    return { ...recordingResource(recording), publication: (await publisher.status(recording)) ?? null };
  }

  async function erase(request: OneRequest, reply: FastifyReply) {
    const { accountId, externalId } = await find(request);
    await ingest.erase(accountId, externalId);
    return reply.code(204).send();
  }

  async function share(request: OneRequest) {
    const recording = await find(request);
    if (!recording.key)
      throw new Problem('not_found', 'This recording was refused: there is no audio to share.');
    const { token, expiresAt } = await tokens.sign(recording);
    return { authenticatedUrl: streamUrl(publicBase(parts.config, app), token), expiresAt };
  }

  async function revoke(request: OneRequest, reply: FastifyReply) {
    const { accountId, externalId } = await find(request);
    await tokens.revoke({ accountId, externalId });
    return reply.code(204).send();
  }

  async function publish(request: OneRequest, reply: FastifyReply) {
    return reply.code(202).send(await publisher.publish(await find(request)));
  }

  async function find(request: OneRequest): Promise<Recording> {
    const recording = await catalog.read(request.params.accountId, request.params.externalId);
    if (!recording) throw new Problem('not_found');
    return recording;
  }
}
