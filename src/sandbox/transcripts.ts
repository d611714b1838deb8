import type { FastifyInstance } from 'fastify';
import { notFound, validationError } from './api-error.ts';
import type { Authorize } from './authorize.ts';
import { requiredMembers } from './body.ts';
import { pathsOf } from './paths.ts';
import type { World } from './world.ts';

type ById = { Params: { id: string } };

const read = 'crm.extensions_calling_transcripts.read';
const write = 'crm.extensions_calling_transcripts.write';

/** Transcripts that an integrator sends to HubSpot. */
export function transcriptRoutes(app: FastifyInstance, world: World, authorize: Authorize): void {
  for (const path of pathsOf('transcripts')) {
    app.post(path, (request, reply) => {
      const { portalId } = authorize(request, write);
      const { engagementId, transcriptCreateUtterances: utterances } = requiredMembers(
        request.body,
        'engagementId',
        'transcriptCreateUtterances',
      );
      if (!Array.isArray(utterances)) throw validationError('transcriptCreateUtterances is required.');
      const call = world.call(portalId, String(engagementId));
      const id = world.newId();
      const now = new Date().toISOString();
      world.addTranscript(id, {
        id,
        engagementId: Number(call.id),
        createdAt: now,
        updatedAt: now,
        transcriptSource: 'INTEGRATOR_GENERATED',
        transcriptUtterances: utterances.map((utterance, index) => ({ ...utterance, id: `${id}-${index}` })),
      });
      Object.assign(call.properties, { hs_call_has_transcript: 'true', hs_call_transcription_id: id });
      reply.send({ id });
    });

    app.get<ById>(`${path}/:id`, (request, reply) => {
      authorize(request, read);
      const transcript = world.transcripts.get(request.params.id);
      if (!transcript) throw notFound();
      reply.send(transcript);
    });

    app.delete<ById>(`${path}/:id`, (request, reply) => {
      authorize(request, write);
      if (!world.transcripts.delete(request.params.id)) throw notFound();
      reply.code(204).send();
    });
  }
}
