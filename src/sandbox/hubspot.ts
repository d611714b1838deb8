import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Report } from '../audio/report.ts';
import { crmRoutes } from './crm.ts';
import { areFaults, type Fault, Faults } from './faults.ts';
import { oauthRoutes } from './oauth.ts';
import { pickUp } from './pickup.ts';
import { limited, Refusal, refused } from './refusal.ts';
import { settingsRoutes } from './settings.ts';
import { timelineRoutes } from './timeline.ts';
import { type SandboxAccount, type SandboxCall, World } from './world.ts';

/** One request to the sandbox and its reply, as an observer sees them. */
export interface Exchange {
  /** The account that asked, where the token told. */
  portalId: number | undefined;
  method: string;
  /** Without the query. */
  path: string;
  query: Record<string, unknown>;
  body: unknown;
  status: number;
  reply: unknown;
}

export interface SandboxOptions {
  /** Left out: a free port. */
  port?: number;
  /** Left out: one account, with the token `sandbox-token`. */
  accounts?: SandboxAccount[];
  oauth?: {
    clientId?: string;
    clientSecret?: string;
    tokenSeconds?: number;
    onlyV1?: boolean;
    hubIdLeftOut?: boolean;
  };
  developerKey?: string;
  /** How long search does not find a new call; left out: 5 s. HubSpot's takes up to 30 s. */
  searchLagMs?: number;
  /** Left out: HubSpot's: 110 requests in 10 s and 5 searches in one. */
  limits?: { requests?: number; windowMs?: number; searches?: number };
  faults?: Fault[];
  seed?: number;
  /** HubSpot is reported to refuse an `hs_call_app_id` that is no number; its own example has one. */
  refuseNonNumericAppId?: boolean;
  /** Whether HubSpot sends its query and signs when it asks for a recording; left out: query, no signature. */
  retrieve?: { query?: boolean; clientSecret?: string };
  /** Judges fetched audio. Left out: all audio passes. */
  check?: (audio: Uint8Array, call: SandboxCall) => Promise<Report>;
  observe?: (exchange: Exchange) => void;
}

export interface Sandbox {
  /** Its base URL: the API, and at `/` the timelines. */
  url: string;
  world: World;
  faults: Faults;
  timelineUrl(portalId: number, objectType: string, objectId: string): string;
  pickUp(call: SandboxCall, account: SandboxAccount): void;
  /** Resolves once every recording marked ready so far was fetched and judged. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const defaultAccount: SandboxAccount = { portalId: 4711, appId: '101', accessToken: 'sandbox-token' };

/** Starts a local HubSpot on the loopback address. Its state is in memory and gone when it closes. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const world = new World(options.accounts ?? [defaultAccount]);
  const faults = new Faults(options.faults, options.seed);
  // Each lane fetches one recording after the other, so that few are in memory at once.
  const lanes = Array.from({ length: 4 }, () => Promise.resolve());
  let marked = 0;
  const pickupOptions = { query: true, ...options.retrieve, check: options.check };
  const app = fastify({ forceCloseConnections: true, bodyLimit: 4 * 1024 * 1024 });

  const sandbox: Sandbox = {
    url: '',
    world,
    faults,
    timelineUrl: (portalId, objectType, objectId) =>
      `${sandbox.url}/timeline/${portalId}/${objectType}/${objectId}`,
    pickUp(call, account) {
      const lane = marked++ % lanes.length;
      lanes[lane] = lanes[lane]!.then(() =>
        pickUp(world.recordingUrl(call), call, account, pickupOptions),
      ).then((pickup) => {
        call.pickup = pickup;
        if (pickup.transcribed) call.properties.hs_call_has_transcript = 'true';
      });
    },
    async settled() {
      for (let seen = -1; seen !== marked; ) {
        seen = marked;
        await Promise.all(lanes);
      }
    },
    close: () => app.close(),
  };

  acceptBodies(app);
  inflictFaults(app, world, faults, options);
  crmRoutes(app, world, options, sandbox);
  settingsRoutes(app, world, options.developerKey);
  oauthRoutes(app, world, options);
  timelineRoutes(app, world, pickupOptions);
  app.put('/sandbox/faults', (request, reply) => {
    if (!areFaults(request.body)) throw refused(400, 'VALIDATION_ERROR', 'A list of faults is required.');
    faults.replace(request.body);
    reply.code(204).send();
  });
  app.setNotFoundHandler(() => {
    throw refused(404, 'OBJECT_NOT_FOUND', 'There is no such path.');
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const refusal =
      error instanceof Refusal
        ? error
        : refused(
            error.statusCode ?? 500,
            error.statusCode ? 'VALIDATION_ERROR' : 'INTERNAL_ERROR',
            error.message,
          );
    reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
  });

  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  sandbox.url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return sandbox;
}

/** JSON, empty too, as a PUT without a body has it; and forms for the token endpoints. */
function acceptBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text === '' ? undefined : JSON.parse(String(text)));
    } catch {
      done(refused(400, 'VALIDATION_ERROR', 'Invalid input JSON.'));
    }
  });
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, text, done) => {
      done(null, Object.fromEntries(new URLSearchParams(String(text))));
    },
  );
}

function inflictFaults(
  app: FastifyInstance,
  world: World,
  faults: Faults,
  { observe, limits }: SandboxOptions,
): void {
  const after = new WeakMap<FastifyRequest, Fault>();
  const isApi = (request: FastifyRequest) => /^\/(crm|oauth)\//.test(request.url);

  app.addHook('onRequest', async (request, reply) => {
    const fault = isApi(request) ? faults.draw(`${request.method} ${request.url}`) : undefined;
    if (!fault) return;
    if (fault.kind === 'latency') return void (await new Promise((resolve) => setTimeout(resolve, fault.ms)));
    if (fault.kind === 'limit') throw limited('TEN_SECONDLY_ROLLING', limits?.windowMs ?? 10_000);
    if (fault.when === 'after') return void after.set(request, fault);
    if (fault.kind === 'error') throw refused(500, 'INTERNAL_ERROR', 'internal error');
    await breakOff(request, reply, fault);
  });

  app.addHook('onSend', async (request, reply, payload) => {
    const fault = after.get(request);
    if (fault?.kind === 'error') {
      reply.code(500);
      return JSON.stringify(refused(500, 'INTERNAL_ERROR', 'internal error').body);
    }
    if (fault) await breakOff(request, reply, fault);
    observe?.({
      portalId: world.holderOf(request.headers.authorization)?.portalId,
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

/** Breaks the line at once, or leaves the asker waiting until they give up. */
async function breakOff(request: FastifyRequest, reply: FastifyReply, { kind }: Fault): Promise<void> {
  const { socket } = request.raw;
  if (kind === 'reset') socket.destroy();
  else await new Promise((resolve) => socket.once('close', resolve));
  if (!reply.sent) reply.hijack();
}
