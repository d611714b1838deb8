import { randomUUID } from 'node:crypto';
import multipart from '@fastify/multipart';
import rateLimit from '@fastify/rate-limit';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Metrics } from './metrics.ts';
import type { Parts } from './parts.ts';
import { accountRoutes } from './routes/accounts.ts';
import { checkRoutes } from './routes/check.ts';
import {
  commonHeaders,
  connectionRejecter,
  drainUploads,
  limitStandstill,
  observe,
  observeResponses,
} from './routes/connections.ts';
import { consoleRoutes } from './routes/console.ts';
import { openCounters } from './routes/counters.ts';
import { erasureRoutes } from './routes/erasures.ts';
import { holdRoutes } from './routes/holds.ts';
import { createAccountLimit, createFailures, createLimits } from './routes/limits.ts';
import { oauthRoutes } from './routes/oauth.ts';
import { describeApi, opsRoutes } from './routes/ops.ts';
import { handleErrors, parameterError, sendProblem, urlProblem } from './routes/problems.ts';
import { recordingRoutes } from './routes/recordings.ts';
import { retrieveRoutes } from './routes/retrieve.ts';
import { callerOf, requireApiKey } from './routes/scope.ts';
import { streamRoutes } from './routes/stream.ts';

/** Of a path segment, in characters. The token for the longest ids fits, and so does such an id percent-encoded. */
const maxParamLength = 4096;
const maxJsonBytes = 1024 * 1024;
/** Until a whole request has arrived. It may be a long upload. */
const requestTimeoutMs = 3_600_000;

const noRateLimitHeaders = {
  'x-ratelimit-limit': false,
  'x-ratelimit-remaining': false,
  'x-ratelimit-reset': false,
};

/** Builds the gateway. It does not listen yet. Closing it closes the parts. */
export async function createApp(parts: Parts): Promise<FastifyInstance> {
  const { config, log, apiKeys, metrics, hubspot } = parts;
  const { stallTimeout: stallTimeoutMs, maxAudioSize: maxAudioBytes, trustProxy } = config;
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }), // it logs URLs, and our URLs hold tokens
    // For these two no hook runs.
    frameworkErrors: (cause, request, reply) => rejectUrl(cause, request, reply, metrics),
    clientErrorHandler: connectionRejecter(log as FastifyBaseLogger, metrics),
    genReqId: () => randomUUID(),
    bodyLimit: maxJsonBytes,
    trustProxy: trustProxy.length > 0 ? trustProxy : false,
    routerOptions: { maxParamLength },
    ajv: { customOptions: { removeAdditional: false } }, // a misspelt filter must fail, not list everything
    schemaErrorFormatter: parameterError,
    requestTimeout: requestTimeoutMs,
    connectionTimeout: stallTimeoutMs, // while headers arrive; then limitStandstill takes over
    return503OnClosing: true,
    forceCloseConnections: 'idle',
  });
  const counters = openCounters(config.redisUrl);
  app.addHook('onClose', async () => {
    counters.close();
    await parts.close();
  });

  parseJson(app);
  // One byte more than allowed, so that ingest sees the excess and names the setting.
  await app.register(multipart, { limits: { fileSize: maxAudioBytes + 1 } });
  await app.register(rateLimit, {
    global: false,
    store: counters.store,
    addHeaders: noRateLimitHeaders,
    addHeadersOnExceeding: noRateLimitHeaders,
  });
  await describeApi(app);

  const limits = createLimits(config.rateLimit, (request) => callerOf(request).id);
  const failures = createFailures(app);
  const accountLimit = createAccountLimit(app, config.accountRateLimit);
  handleErrors(app, metrics, failures);
  addHeaders(app);
  observeResponses(app, metrics);
  drainUploads(app);
  limitStandstill(app, stallTimeoutMs);

  await app.register(async (scope) => streamRoutes(scope, parts, limits, accountLimit));
  await app.register(async (scope) => retrieveRoutes(scope, parts, failures, accountLimit));
  await app.register(async (scope) => {
    requireApiKey(scope, apiKeys, failures, accountLimit);
    recordingRoutes(scope, parts, limits, accountLimit);
    checkRoutes(scope, parts, limits);
    holdRoutes(scope, parts, limits);
    accountRoutes(scope, parts, limits);
    erasureRoutes(scope, parts, limits);
  });
  const { oauth } = hubspot;
  if (oauth) await app.register(async (scope) => oauthRoutes(scope, { ...parts, oauth, failures }));
  await app.register(async (scope) => consoleRoutes(scope));
  await app.register(async (scope) => opsRoutes(scope, parts, counters));
  return app;
}

/** Parses JSON and no other body. Forms are parsed by `multipart`. */
function parseJson(app: FastifyInstance): void {
  app.removeContentTypeParser('text/plain');
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) =>
    // Many clients send this content type without a body, for example with DELETE.
    body === '' ? done(null, undefined) : parse(request, body, done),
  );
}

/** Headers of every response. */
function addHeaders(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => void reply.headers(commonHeaders(request.id)));
}

/** Responds to a request whose URL the router rejects. */
function rejectUrl(cause: Error, request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  const problem = urlProblem(cause);
  observe(request, reply, metrics);
  metrics.refusals.inc({ code: problem.code });
  sendProblem(reply.headers(commonHeaders(request.id)), problem);
}
