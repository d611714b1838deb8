import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';
import { verifySignature } from '../hubspot/signature.ts';
import type { Parts } from '../parts.ts';
import type { Recording } from '../recordings/recording.ts';
import { externalIdIn, keyedRetrieveRoute, publicBase, retrieveRoute, streamUrl } from '../urls.ts';
import type { AccountLimit, Failures } from './limits.ts';

interface Retrieve {
  Params: { accessKey?: string; '*': string };
  Querystring: { appId?: string; externalAccountId?: string };
}
type RetrieveRequest = FastifyRequest<Retrieve>;

/**
 * `GET …/retrieve/authenticated/recordings/:externalId`: the authenticated URL of a recording, for HubSpot.
 *
 * @see HubSpot, "Create an endpoint to provide authenticated recording URLs"
 */
export function retrieveRoutes(
  app: FastifyInstance,
  parts: Parts,
  failures: Failures,
  accountLimit: AccountLimit,
): void {
  const { apiKeys, catalog, tokens, config } = parts;

  app.get<Retrieve>(keyedRetrieveRoute, { schema: schemaOf('with the access key in the path') }, retrieve);
  app.get<Retrieve>(
    retrieveRoute,
    { schema: schemaOf('with HubSpot’s signature or without authentication') },
    retrieve,
  );

  async function retrieve(request: RetrieveRequest) {
    await authenticate(request);
    failures.ids.requireNoPause(request);
    const recording = await find(externalIdIn(request.raw.url ?? ''), request.query);
    if (!recording) {
      await failures.ids.add(request);
      throw new Problem('not_found');
    }
    await accountLimit.add(request, recording.accountId);
    const { token } = await tokens.sign(recording);
    return { authenticatedUrl: streamUrl(publicBase(config, app), token) };
  }

  /** Any method of PLAYHEAD_RETRIEVE_AUTH is enough. A wrong access key gets the same 404 as an unknown id. */
  async function authenticate(request: RetrieveRequest): Promise<void> {
    failures.credentials.requireNoPause(request);
    const { accessKey } = request.params;
    const methods = config.retrieveAuth;
    if (methods.includes('open')) return;
    if (methods.includes('key') && accessKey !== undefined && apiKeys.isAccessKey(accessKey)) return;
    if (methods.includes('signature') && isSigned(request)) return;
    // The error handler counts a 401 as a failure. The 404 is counted here.
    if (!methods.includes('key')) throw new Problem('invalid_signature');
    await failures.credentials.add(request);
    throw new Problem('not_found');
  }

  function isSigned(request: RetrieveRequest): boolean {
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

  /** Undefined for every mismatch, so that nobody learns which part was right. */
  async function find(externalId: string, { appId, externalAccountId }: Retrieve['Querystring']) {
    if (!isOurApp(appId)) return undefined;
    const [recording, ...others] = await candidates(externalId, externalAccountId);
    return recording?.key && others.length === 0 ? recording : undefined;
  }

  /** HubSpot may omit the app, and the setting may be empty. */
  function isOurApp(appId: string | undefined): boolean {
    return appId === undefined || config.hubspotAppId === '' || appId === config.hubspotAppId;
  }

  /** HubSpot may omit the account. Then the id must be unique among the accounts. */
  async function candidates(externalId: string, accountId: string | undefined): Promise<Recording[]> {
    if (accountId === undefined) return catalog.findByExternalId(externalId);
    const recording = await catalog.read(accountId, externalId);
    return recording ? [recording] : [];
  }
}

function schemaOf(authentication: string) {
  return {
    tags: ['hubspot'],
    summary: `Get the authenticated URL of a recording, ${authentication}`,
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
