import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import { ApiError, apiError, internalError, notFound, validationError } from './api-error.ts';
import type { RetrieveOptions } from './authenticated-url.ts';
import { acceptBodies } from './body.ts';
import type { CallOptions } from './calls.ts';
import { crmRoutes } from './crm.ts';
import { areFaults, type Fault, Faults } from './faults.ts';
import { type OAuthOptions, oauthRoutes } from './oauth.ts';
import type { PickupOptions } from './pickup.ts';
import { Pickups } from './pickups.ts';
import { type Limits, RateLimits } from './rate-limits.ts';
import { settingsRoutes } from './settings.ts';
import { timelineRoutes } from './timeline.ts';
import { type Exchange, trafficHooks } from './traffic.ts';
import { type SandboxAccount, World } from './world.ts';

export interface SandboxOptions extends CallOptions {
  /** Default: a free port. */
  port?: number;
  /** Default: portal 4711 with app 101 and the access token `sandbox-token`. */
  accounts?: SandboxAccount[];
  oauth?: OAuthOptions;
  /** Accepted as `hapikey` for the app's settings. Default: none. */
  developerKey?: string;
  /** Default: HubSpot's, 110 requests in 10 s and 5 searches in one. */
  limits?: Limits;
  faults?: Fault[];
  /** Of the random numbers that draw the faults. */
  seed?: number;
  /** How HubSpot requests authenticated URLs. */
  retrieve?: RetrieveOptions;
  check?: PickupOptions['check'];
  /** Called after each exchange. */
  observe?: (exchange: Exchange) => void;
}

export interface Sandbox {
  /** Base URL of the API. The timelines are at `/`. */
  url: string;
  world: World;
  faults: Faults;
  pickups: Pickups;
  timelineUrl(portalId: number, objectType: string, objectId: string): string;
  close(): Promise<void>;
}

const defaultAccount: SandboxAccount = { portalId: 4711, appId: '101', accessToken: 'sandbox-token' };

/** Starts a local HubSpot on the loopback address. Its state is in memory and is lost when it closes. */
export async function createSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const world = new World(options.accounts ?? [defaultAccount]);
  const faults = new Faults(options.faults, options.seed);
  const limits = new RateLimits(options.limits);
  const pickups = new Pickups(world, { ...options.retrieve, check: options.check });
  const app = fastify({ forceCloseConnections: true, bodyLimit: 4 * 1024 * 1024 });

  acceptBodies(app);
  sendApiErrors(app);
  trafficHooks(app, world, { faults, windowMs: limits.windowMs, observe: options.observe });
  crmRoutes(app, world, limits, pickups, options);
  settingsRoutes(app, world, options.developerKey);
  oauthRoutes(app, world, options.oauth);
  timelineRoutes(app, world, options.retrieve);
  app.put('/sandbox/faults', (request, reply) => {
    if (!areFaults(request.body)) throw validationError('A list of faults is required.');
    faults.replace(request.body);
    reply.code(204).send();
  });

  await app.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
  return {
    url,
    world,
    faults,
    pickups,
    timelineUrl: (portalId, objectType, objectId) => `${url}/timeline/${portalId}/${objectType}/${objectId}`,
    close: () => app.close(),
  };
}

function sendApiErrors(app: FastifyInstance): void {
  app.setNotFoundHandler(() => {
    throw notFound('There is no such path.');
  });
  app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
    const { status, headers, body } = toApiError(error);
    reply.code(status).headers(headers).send(body);
  });
}

function toApiError(error: Error & { statusCode?: number }): ApiError {
  if (error instanceof ApiError) return error;
  const { statusCode, message } = error;
  return statusCode ? apiError(statusCode, 'VALIDATION_ERROR', message) : internalError(message);
}
