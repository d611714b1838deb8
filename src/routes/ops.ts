import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import type { Parts } from '../parts.ts';
import { version } from '../version.ts';
import type { Counters } from './counters.ts';

const hidden = { hide: true };

/** What operators ask: is it alive, can it serve, how is it doing, and what does it offer. */
export async function opsRoutes(app: FastifyInstance, parts: Parts, counters: Counters): Promise<void> {
  const { db, metrics, metricsPage } = parts;
  app.get('/healthz', { schema: hidden }, async () => ({ status: 'ok', version }));

  app.get('/readyz', { schema: hidden }, async (_request, reply) => {
    const database = await db.ping().then(
      () => 'ok',
      () => 'out of reach',
    );
    // Without Redis each process counts for itself, and everything goes on.
    return reply.code(database === 'ok' ? 200 : 503).send({ database, redis: counters.state() });
  });

  app.get('/metrics', { schema: hidden }, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metricsPage()),
  );

  app.get('/openapi.json', { schema: hidden }, async () => app.swagger());
}

/** Registered before every route, since it gathers their schemas. */
export async function openapi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Playhead',
        version,
        description: 'Call recordings for HubSpot: ranges, tokens, channel checks.',
      },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url }) => ({
      schema: url.startsWith('/v1/') ? { ...schema, security: [{ apiKey: [] }] } : schema,
      url: url.replace('*', ':externalId'), // a wildcard, since an id may hold a slash
    }),
  });
  await app.register(swaggerUi, { routePrefix: '/docs' });
}
