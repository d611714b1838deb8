import fastifyStatic from '@fastify/static';
import fastify from 'fastify';

/** Usage: fastify-static.ts FOLDER PORT */
const [root, port] = process.argv.slice(2);
const app = fastify();
app.register(fastifyStatic, { root: root! });
await app.listen({ host: '127.0.0.1', port: Number(port) });
