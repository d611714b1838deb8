import type { FastifyInstance, FastifyRequest } from 'fastify';
import { membersOf, missingScopes, notFound, refused } from './refusal.ts';
import type { World } from './world.ts';

/** Where an app says which URL HubSpot shall ask for recordings. */
export function settingsRoutes(app: FastifyInstance, world: World, developerKey: string | undefined): void {
  const prefixes = ['/crm/extensions/calling/2026-03', '/crm/v3/extensions/calling'];
  for (const path of prefixes.map((prefix) => `${prefix}/:appId/settings/recording`)) {
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
          const { urlToRetrieveAuthedRecording: url } = membersOf(
            request.body,
            'urlToRetrieveAuthedRecording',
          );
          world.recordingUrls.set(appId, checkedUrl(url));
          reply.send({ urlToRetrieveAuthedRecording: url });
        },
      });
    }
  }

  /** The app id of the path, for a bearer with the scope or for the legacy developer key. */
  function authorizedApp(request: FastifyRequest<{ Params: { appId: string } }>, scope: string): string {
    const { appId } = request.params;
    if (!/^\d+$/.test(appId))
      throw refused(400, 'VALIDATION_ERROR', `Unable to parse value for appId: ${appId}`);
    const { hapikey } = request.query as { hapikey?: string };
    if (hapikey !== undefined) {
      if (hapikey === developerKey) return appId;
      throw refused(401, 'INVALID_AUTHENTICATION', 'The developer API key is not valid.');
    }
    const { scopes } = world.accountOf(request.headers.authorization);
    if (scopes && !scopes.includes(scope)) throw missingScopes([scope]);
    return appId;
  }
}

/** HubSpot wants https; this one takes http from its own machine, where the gateway is being tried. */
function checkedUrl(url: unknown): string {
  const secure = /^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/])/;
  if (typeof url !== 'string' || !url.includes('%s') || !secure.test(url)) {
    const message = 'urlToRetrieveAuthedRecording must be an https:// URL that contains %s';
    throw refused(400, 'VALIDATION_ERROR', message);
  }
  return url;
}
