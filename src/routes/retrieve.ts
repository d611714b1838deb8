import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';
import { verifySignature } from '../hubspot/signature.ts';
import type { Parts } from '../parts.ts';
import type { Recording } from '../recordings/recording.ts';
import { externalIdIn, keyedRetrieveRoute, publicBase, retrieveRoute, streamUrl } from '../urls.ts';
import type { Failures } from './limits.ts';

interface Retrieve {
  Params: { accessKey?: string; '*': string };
  Querystring: { appId?: string; externalAccountId?: string };
}

/**
 * `GET …/retrieve/authenticated/recordings/:externalId`: HubSpot asks where a recording may be heard.
 * The externalId is the rest of the path, since HubSpot does not say whether it encodes a slash in it.
 *
 * @see HubSpot, "Create an endpoint to provide authenticated recording URLs"
 */
export function retrieveRoutes(app: FastifyInstance, parts: Parts, failures: Failures): void {
  const { apiKeys, catalog, tokens, config } = parts;

  for (const url of [retrieveRoute, keyedRetrieveRoute]) {
    app.get<Retrieve>(url, { schema: schemaOf(url) }, async (request) => {
      await authorize(request);
      const recording = await find(externalIdIn(request.raw.url ?? ''), request.query);
      const { token } = await tokens.sign(recording);
      return { authenticatedUrl: streamUrl(publicBase(config, app), token) };
    });
  }

  /** Any one of the ways in PLAYHEAD_RETRIEVE_AUTH suffices. A wrong access key looks like an unknown id. */
  async function authorize(request: FastifyRequest<Retrieve>): Promise<void> {
    const { accessKey } = request.params;
    const ways = config.retrieveAuth;
    if (ways.includes('open')) return;
    if (ways.includes('key') && accessKey !== undefined && apiKeys.isAccessKey(accessKey)) return;
    if (ways.includes('signature') && isSigned(request)) return;
    if (!ways.includes('key')) throw new Problem('invalid_signature'); // a 401, which is counted as a failure
    await failures.count(request);
    throw new Problem('not_found');
  }

  function isSigned(request: FastifyRequest<Retrieve>): boolean {
    return verifySignature({
      method: request.method,
      publicUrl: publicBase(config, app),
      target: request.raw.url ?? '',
      body: '',
      headers: request.headers,
      clientSecret: config.hubspotClientSecret,
      now: Date.now(),
    });
  }

  /** Whatever does not match is the same 404, so that nobody learns which part was right. */
  async function find(externalId: string, claimed: Retrieve['Querystring']): Promise<Recording> {
    const { appId, externalAccountId } = claimed;
    if (appId !== undefined && config.hubspotAppId !== '' && appId !== config.hubspotAppId) {
      throw new Problem('not_found');
    }
    const found =
      externalAccountId === undefined
        ? await catalog.findByExternalId(externalId)
        : [await catalog.read(externalAccountId, externalId)];
    const [recording] = found;
    if (found.length !== 1 || !recording?.key) throw new Problem('not_found');
    return recording;
  }
}

function schemaOf(url: string) {
  return {
    tags: ['hubspot'],
    summary:
      url === keyedRetrieveRoute
        ? 'The authenticated URL of a recording, by access key'
        : 'The authenticated URL of a recording, for a signed request or anyone',
    querystring: {
      type: 'object',
      properties: { appId: { type: 'string' }, externalAccountId: { type: 'string' } },
    },
    response: {
      200: {
        type: 'object',
        properties: { authenticatedUrl: { type: 'string' } },
        required: ['authenticatedUrl'],
      },
    },
  };
}
