import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Parts } from '../parts.ts';
import { version } from '../version.ts';
import type { Counters } from './counters.ts';
import { Readiness } from './readiness.ts';

/** Hides a route from the description of the API. */
const schema = { hide: true };

const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'", // Swagger UI sets styles on its elements
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** For operators: health, readiness, metrics, and the description of the API. */
export function opsRoutes(app: FastifyInstance, parts: Parts, counters: Counters): void {
  const { db, log, metrics, metricsPage } = parts;
  const ready = new Readiness(db, log);

  app.get('/healthz', { schema }, async () => ({ status: 'ok', version }));
  app.get('/readyz', { schema }, readiness);
  app.get('/metrics', { schema }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metricsPage()),
  );
  app.get('/openapi.json', { schema }, async () => app.swagger());

  /** The gateway is ready without Redis: only the rate limits use it, and each process can count for itself. */
  async function readiness(_request: unknown, reply: FastifyReply) {
    const database = await ready.database();
    return reply.code(database === 'out of reach' ? 503 : 200).send({ database, redis: counters.state() });
  }
}

/** Describes the API at `/openapi.json` and `/docs`. Register it before every route: it collects their schemas. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Playhead',
        version,
        description: 'Call recordings for HubSpot: checked, published and streamed by byte ranges.',
      },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url }) => ({
      schema: url.startsWith('/v1/') ? { ...schema, security: [{ apiKey: [] }] } : schema,
      url: url.replace('*', ':externalId'), // a retrieve route ends in a wildcard, because an id may contain a slash
    }),
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: pagePolicy });
}
