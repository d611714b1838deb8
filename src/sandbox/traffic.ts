import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { internalError, rateLimited } from './api-error.ts';
import type { Fault, Faults } from './faults.ts';
import type { World } from './world.ts';

/** One request to the sandbox and its response, as an observer sees them. */
export interface Exchange {
  /** Of the access token; undefined if the request has none that is known. */
  portalId: number | undefined;
  method: string;
  /** Without the query. */
  path: string;
  query: Record<string, unknown>;
  body: unknown;
  status: number;
  reply: unknown;
}

export interface TrafficOptions {
  faults: Faults;
  /** Window of the 429 that the fault `limit` responds with. */
  windowMs: number;
  observe: ((exchange: Exchange) => void) | undefined;
}

/** Injects faults into requests to the API and reports each exchange to the observer. */
export function trafficHooks(
  app: FastifyInstance,
  world: World,
  { faults, windowMs, observe }: TrafficOptions,
): void {
  const faultsAfter = new WeakMap<FastifyRequest, Fault>();

  app.addHook('onRequest', async (request, reply) => {
    const fault = isApi(request) ? faults.draw(`${request.method} ${request.url}`) : undefined;
    if (!fault) return;
    if (fault.kind === 'latency') return void (await new Promise((resolve) => setTimeout(resolve, fault.ms)));
    if (fault.kind === 'limit') throw rateLimited('TEN_SECONDLY_ROLLING', windowMs);
    if (fault.when === 'after') return void faultsAfter.set(request, fault);
    if (fault.kind === 'error') throw internalError();
    await endWithoutResponse(request, reply, fault);
  });

  app.addHook('onSend', async (request, reply, payload) => {
    const fault = faultsAfter.get(request);
    if (fault?.kind === 'error') {
      reply.code(500);
      return JSON.stringify(internalError().body);
    }
    if (fault) await endWithoutResponse(request, reply, fault);
    observe?.({
      portalId: world.findToken(request.headers.authorization)?.portalId,
      method: request.method,
      path: request.url.split('?')[0]!,
      query: request.query as Record<string, unknown>,
      body: request.body,
      status: reply.statusCode,
      reply:
        typeof payload === 'string' && payload !== '' && isApi(request) ? JSON.parse(payload) : undefined,
    });
    return payload;
  });
}

function isApi({ url }: FastifyRequest): boolean {
  return /^\/(crm|oauth)\//.test(url);
}

/** `reset` closes the connection; `silence` waits until the client does. */
async function endWithoutResponse(request: FastifyRequest, reply: FastifyReply, { kind }: Fault) {
  const { socket } = request.raw;
  if (kind === 'reset') socket.destroy();
  else await new Promise((resolve) => socket.once('close', resolve));
  if (!reply.sent) reply.hijack();
}
