import { randomUUID } from 'node:crypto';
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type {
  ConnectionError,
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
} from 'fastify';
import { Problem, problemDetails } from '../errors.ts';
import type { Metrics } from '../metrics.ts';

/** The label of a request that no route takes. */
const noRoute = 'none';

/** Headers of every response. */
export function commonHeaders(requestId: string): Record<string, string> {
  return {
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-request-id': requestId,
  };
}

/**
 * Returns a handler that closes a connection whose bytes cannot be read as HTTP. It first sends a problem on the bare
 * socket, and logs and counts it, except:
 *
 * - while a response is being sent: a listener would take the problem for audio
 * - if no request came in time: a client would take the problem for the response to its next request
 */
export function connectionRejecter(log: FastifyBaseLogger, metrics: Metrics) {
  return (error: ConnectionError, socket: Socket): void => {
    // Node's private field for the response that is using the socket.
    const { _httpMessage: response } = socket as { _httpMessage?: ServerResponse | null };
    const isTimeout = error.code === 'ERR_HTTP_REQUEST_TIMEOUT';
    if (socket.writable && !response?.headersSent && !isTimeout) {
      const areHeadersTooLarge = error.code === 'HPE_HEADER_OVERFLOW';
      const problem = new Problem(areHeadersTooLarge ? 'headers_too_large' : 'invalid_request');
      const { code, status } = problem;
      const reqId = randomUUID();
      socket.write(rawResponse(problem, reqId));
      metrics.requests.inc({ route: noRoute, status });
      metrics.refusals.inc({ code });
      log.info({ reqId, route: noRoute, status, ip: socket.remoteAddress }, 'response');
    }
    socket.destroy(error);
  };
}

function rawResponse(problem: Problem, requestId: string): string {
  const body = JSON.stringify(problemDetails(problem));
  return [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries(commonHeaders(requestId)).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
    '',
    body,
  ].join('\r\n');
}

/**
 * Disconnects a client that makes no progress for `stallTimeoutMs`.
 *
 * The timer of a connection runs only while the client has to act:
 *
 * - while it sends headers, or a body that the gateway is reading
 * - while it receives the response
 *
 * The timer is stopped while the client waits for a store, a source or a check. If requests are pipelined, only
 * the one whose response is being sent can stop it.
 */
export function limitStandstill(app: FastifyInstance, stallTimeoutMs: number): void {
  app.addHook('onRequest', async ({ raw: request }, { raw: response }) => {
    const startTimer = () => request.socket.setTimeout(stallTimeoutMs);
    const stopTimer = () => {
      // A pipelined response has no socket until its turn.
      if (!response.headersSent) response.socket?.setTimeout(0);
    };
    stopTimer();
    if (hasBody(request)) request.on('resume', startTimer).on('pause', stopTimer).on('end', stopTimer);
  });
  app.addHook('onSend', async (_request, reply) => void reply.raw.socket?.setTimeout(stallTimeoutMs));
}

/** RFC 9112 §6 */
function hasBody({ headers }: IncomingMessage): boolean {
  return Boolean(headers['content-length'] ?? headers['transfer-encoding']);
}

/** Drains the rest of a rejected upload; otherwise the connection hangs. */
export function drainUploads(app: FastifyInstance): void {
  app.addHook('onResponse', async ({ raw: request }) => {
    if (!request.complete) request.unpipe().resume();
  });
}

/** Logs and counts each response once. */
export function observeResponses(app: FastifyInstance, metrics: Metrics): void {
  app.addHook('onRequest', async (request, reply) => observe(request, reply, metrics));
}

/** Logs and counts a response. Names the pattern of its route, never its URL, which may hold a token. */
export function observe(request: FastifyRequest, reply: FastifyReply, metrics: Metrics): void {
  const { ip } = request; // read now: a closed connection has no address
  // Fastify's onResponse fires only for completed responses, and a player that seeks aborts most of its own.
  reply.raw.once('close', () => {
    if (!reply.raw.headersSent) return;
    const route = request.routeOptions.url ?? noRoute;
    metrics.requests.inc({ route, status: reply.statusCode });
    metrics.requestSeconds.observe({ route }, reply.elapsedTime / 1000);
    request.log.info(
      {
        method: request.method,
        route,
        status: reply.statusCode,
        ms: Math.round(reply.elapsedTime),
        range: request.headers.range,
        ip,
      },
      'response',
    );
  });
}
