import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { readDeclaredInput } from '../ingest/input.ts';
import type { Parts } from '../parts.ts';
import type { Limits } from './limits.ts';
import { departure, readUpload } from './uploads.ts';

/** `POST /v1/check`: the report on an uploaded file, which is not kept. */
export function checkRoutes(app: FastifyInstance, parts: Parts, limits: Limits): void {
  const schema = {
    tags: ['check'],
    summary: 'Check a file',
    description:
      'A form: the part `recording` (JSON with `channels`, `profile`, `direction`, `leg`), if you claim any of these, then the part `audio`.',
    consumes: ['multipart/form-data'],
  };

  app.post('/v1/check', { schema, config: { rateLimit: limits.perKey } }, check);

  async function check(request: FastifyRequest, reply: FastifyReply) {
    const { recording, fileName, audio } = await readUpload(request);
    return parts.ingest.check({ fileName, ...readDeclaredInput(recording ?? {}) }, audio, departure(reply));
  }
}
