import { randomUUID } from 'node:crypto';
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import multipart from '@fastify/multipart';
import rateLimit from '@fastify/rate-limit';
import Fastify, {
  type ConnectionError,
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import { asProblem, Problem, problemDetails } from './errors.ts';
import type { Parts } from './parts.ts';
import { checkRoutes } from './routes/check.ts';
import { consoleRoutes } from './routes/console.ts';
import { openCounters } from './routes/counters.ts';
import { createFailures, createLimits, type Failures } from './routes/limits.ts';
import { oauthRoutes } from './routes/oauth.ts';
import { openapi, opsRoutes } from './routes/ops.ts';
import { recordingRoutes } from './routes/recordings.ts';
import { retrieveRoutes } from './routes/retrieve.ts';
import { streamRoutes } from './routes/stream.ts';

/** The longest path segment: a token for the longest ids, or such an id percent-encoded. */
const maxParamLength = 4096;

/** Builds the gateway, not listening. Closing it closes the parts. */
export async function createApp(parts: Parts): Promise<FastifyInstance> {
  const { config } = parts;
  const app = Fastify({
    loggerInstance: parts.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }), // its lines hold URLs, and ours hold tokens
    frameworkErrors: (error, _request, reply) => void answerProblem(reply, asProblem(error)),
    clientErrorHandler: refuseConnection,
    genReqId: () => randomUUID(),
    bodyLimit: 1024 * 1024,
    trustProxy: config.trustProxy.length > 0 ? config.trustProxy : false,
    routerOptions: { maxParamLength },
    ajv: { customOptions: { removeAdditional: false } }, // a filter that is misspelt must not list everything
    schemaErrorFormatter: ([fault], part) =>
      new Error(
        fault!.keyword === 'additionalProperties'
          ? `the parameter ${fault!.params.additionalProperty} is not known`
          : `${part}${fault!.instancePath} ${fault!.message}`,
      ),
    requestTimeout: 3_600_000, // an upload may take long
    connectionTimeout: config.stallTimeout, // see cutStandstills
    return503OnClosing: true,
    forceCloseConnections: 'idle',
  });
  const counters = openCounters(config.redisUrl);
  app.addHook('onClose', async () => {
    counters.close();
    await parts.close();
  });

  app.removeContentTypeParser('text/plain');
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) =>
    // Many clients name the type of a body that they do not send, as with DELETE.
    body === '' ? done(null, undefined) : parseJson(request, body, done),
  );
  const { store } = counters;
  await app.register(rateLimit, { global: false, store, addHeaders: quiet, addHeadersOnExceeding: quiet });
  await app.register(multipart, { limits: { fileSize: config.maxAudioSize + 1 } });
  await openapi(app);

  const limits = createLimits(config.rateLimit, (header) => parts.apiKeys.verify(header));
  const failures = createFailures(app);
  answerErrors(app, parts, failures);
  observe(app, parts);
  cutStandstills(app, config.stallTimeout);

  await app.register(async (scope) => streamRoutes(scope, parts, limits));
  await app.register(async (scope) => retrieveRoutes(scope, parts, failures));
  await app.register(async (scope) => {
    scope.addHook('onRequest', async (request) => void parts.apiKeys.verify(request.headers.authorization));
    recordingRoutes(scope, parts, limits);
    checkRoutes(scope, parts, limits);
  });
  const { oauth } = parts.hubspot;
  if (oauth) await app.register(async (scope) => oauthRoutes(scope, { ...parts, oauth }));
  await app.register(async (scope) => consoleRoutes(scope));
  await app.register(async (scope) => opsRoutes(scope, parts, counters));
  return app;
}

const quiet = { 'x-ratelimit-limit': false, 'x-ratelimit-remaining': false, 'x-ratelimit-reset': false };

/** Every error, of whatever kind, leaves as RFC 9457 with a stable code; what caused it stays in the log. */
function answerErrors(app: FastifyInstance, { metrics }: Parts, failures: Failures): void {
  app.setNotFoundHandler(() => {
    throw new Problem('not_found');
  });
  app.setErrorHandler(async (error: FastifyError, request, reply) => {
    let problem = asProblem(error);
    if (problem.status === 401) {
      problem = await failures.count(request).then(() => problem, asProblem);
      const isAsked = reply.hasHeader('www-authenticate'); // by a route that takes the key in another way, too
      if (problem.code === 'unauthorized' && !isAsked) reply.header('www-authenticate', 'Bearer');
    }
    if (problem.status >= 500 && !reply.raw.destroyed)
      request.log.error({ err: problem, cause: problem.cause }, problem.code);
    if (problem.retryAfter !== undefined) reply.header('retry-after', String(problem.retryAfter));
    metrics.refusals.inc({ code: problem.code });
    return answerProblem(reply, problem);
  });
}

function answerProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply
    .code(problem.status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(problemDetails(problem));
}

/**
 * What cannot be read as HTTP is answered on the bare socket, but never among the bytes of an answer that is
 * being sent: those would pass for audio. A connection on which no request came in time is closed without a
 * word, since a client could take the word for the answer to what it sends next.
 */
function refuseConnection(error: ConnectionError, socket: Socket): void {
  const { _httpMessage: underWay } = socket as { _httpMessage?: ServerResponse | null };
  const isTimeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
  if (!isTimeout && socket.writable && !underWay?.headersSent) {
    const isBomb = error.code === 'HPE_HEADER_OVERFLOW';
    const problem = new Problem(isBomb ? 'headers_too_large' : 'invalid_request');
    const body = JSON.stringify(problemDetails(problem));
    socket.write(
      [
        `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
        'content-type: application/problem+json',
        `content-length: ${Buffer.byteLength(body)}`,
        'connection: close',
        '',
        body,
      ].join('\r\n'),
    );
  }
  socket.destroy(error);
}

/** One log line and one count for each answer, by the route's pattern and never by its URL. */
function observe(app: FastifyInstance, { metrics }: Parts): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-request-id': request.id,
    });
    const { ip } = request; // once the connection is closed it has none
    // The framework tells of answers that came to their end alone, and a player that seeks breaks most of them off.
    reply.raw.once('close', () => {
      if (!reply.raw.headersSent) return;
      const route = request.routeOptions.url ?? 'none';
      metrics.requests.inc({ route, status: reply.statusCode });
      metrics.requestSeconds.observe({ route }, reply.elapsedTime / 1000);
      request.log.info({ ...logged(request, reply, route), ip }, 'answered');
    });
  });
  app.addHook('onResponse', async (request) => {
    // An upload that was refused midway is read to its end and dropped: the connection would stand still else.
    if (!request.raw.complete) request.raw.unpipe().resume();
  });
}

/**
 * The timer of a connection runs while its client is to move: to send a request and the body that is read from
 * it, and to take the answer. It rests while the client waits for us, however long a store, a source or a
 * check takes. Of requests that were sent at once, it belongs to the one that is being answered.
 */
function cutStandstills(app: FastifyInstance, stallMs: number): void {
  app.addHook('onRequest', async ({ raw }, reply) => {
    const rest = () => void (reply.raw.headersSent || reply.raw.socket?.setTimeout(0));
    rest();
    const hasBody = raw.headers['content-length'] ?? raw.headers['transfer-encoding'];
    if (!hasBody) return;
    raw.on('resume', () => raw.socket.setTimeout(stallMs));
    raw.on('pause', rest).on('end', rest);
  });
  app.addHook('onSend', async (_request, reply) => void reply.raw.socket?.setTimeout(stallMs));
}

function logged(request: FastifyRequest, reply: FastifyReply, route: string) {
  return {
    method: request.method,
    route,
    status: reply.statusCode,
    ms: Math.round(reply.elapsedTime),
    range: request.headers.range,
  };
}
