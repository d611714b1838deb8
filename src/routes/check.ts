import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { readDeclaredInput } from '../ingest/input.ts';
import type { Parts } from '../parts.ts';
import type { Limits } from './limits.ts';
import { disconnectSignal, readUpload } from './uploads.ts';

/** `POST /v1/check`: the report on an uploaded file, which is not kept. */
export function checkRoutes(app: FastifyInstance, { ingest }: Parts, limits: Limits): void {
  const schema = {
    tags: ['check'],
    summary: 'Check a file',
    description:
      'Send a form with the file in the part `audio`. To declare `channels`, `profile`, `direction` or `leg`, send the part `recording` (JSON) before it. Nothing is kept.',
    consumes: ['multipart/form-data'],
  };

  app.post('/v1/check', { schema, config: { rateLimit: limits.perKey } }, check);

  async function check(request: FastifyRequest, reply: FastifyReply) {
    const { recording, fileName, audio } = await readUpload(request);
    const declared = readDeclaredInput(recording ?? {});
    return ingest.check({ fileName, ...declared }, audio, disconnectSignal(reply));
  }
}
