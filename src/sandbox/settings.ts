import type { FastifyInstance, FastifyRequest } from 'fastify';
import { apiError, notFound, validationError } from './api-error.ts';
import { requiredMembers } from './body.ts';
import { pathsOf } from './paths.ts';
import { requireScope, type World } from './world.ts';

/** The settings of an app: the URL where HubSpot requests its recordings. */
export function settingsRoutes(app: FastifyInstance, world: World, developerKey: string | undefined): void {
  for (const path of pathsOf('recordingSettings')) {
    app.get<{ Params: { appId: string } }>(path, (request, reply) => {
      const appId = authorizedApp(request, 'developers-read');
      const url = world.recordingUrls.get(appId);
      if (url === undefined) throw notFound('No recording settings for this app.');
      reply.send({ urlToRetrieveAuthedRecording: url });
    });

    for (const method of ['POST', 'PATCH'] as const) {
      app.route<{ Params: { appId: string } }>({
        method,
        url: path,
        handler(request, reply) {
          const appId = authorizedApp(request, 'developers-write');
          if (method === 'PATCH' && !world.recordingUrls.has(appId))
            throw notFound('No recording settings for this app.');
          const { urlToRetrieveAuthedRecording: url } = requiredMembers(
            request.body,
            'urlToRetrieveAuthedRecording',
          );
          world.recordingUrls.set(appId, validUrl(url));
          reply.send({ urlToRetrieveAuthedRecording: url });
        },
      });
    }
  }

  /** The app id in the path, if the access token has the scope or the legacy developer key is right. */
  function authorizedApp(request: FastifyRequest<{ Params: { appId: string } }>, scope: string): string {
    const { appId } = request.params;
    if (!/^\d+$/.test(appId)) throw validationError(`Unable to parse value for appId: ${appId}`);
    const { hapikey } = request.query as { hapikey?: string };
    if (hapikey !== undefined) {
      if (hapikey === developerKey) return appId;
      throw apiError(401, 'INVALID_AUTHENTICATION', 'The developer API key is not valid.');
    }
    requireScope(world.authenticate(request.headers.authorization), scope);
    return appId;
  }
}

/** HubSpot accepts https only. The sandbox also accepts http on loopback, because the gateway runs there. */
function validUrl(url: unknown): string {
  const secure = /^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/])/;
  if (typeof url !== 'string' || !url.includes('%s') || !secure.test(url)) {
    throw validationError('urlToRetrieveAuthedRecording must be an https:// URL that contains %s');
  }
  return url;
}
