import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';

const files = [
  ['/console', 'index.html', 'text/html; charset=utf-8'],
  ['/console/app.js', 'app.js', 'text/javascript; charset=utf-8'],
  ['/console/channels.js', 'channels.js', 'text/javascript; charset=utf-8'],
  ['/console/report.js', 'report.js', 'text/javascript; charset=utf-8'],
  ['/console/style.css', 'style.css', 'text/css; charset=utf-8'],
] as const;

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self' http: https:", // audio comes from PLAYHEAD_PUBLIC_URL, which may be another origin
  'media-src http: https:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const schema = { hide: true };

/** `/console`: a page for people. It has no data of its own and requests `/v1` with the key that is entered. */
export function consoleRoutes(app: FastifyInstance): void {
  for (const [url, name, type] of files) {
    const headers = { 'content-type': type, 'content-security-policy': policy, 'cache-control': 'no-cache' };
    const content = readFileSync(new URL(`../console/${name}`, import.meta.url));
    app.get(url, { schema }, (_request, reply) => reply.headers(headers).send(content));
  }
  // The address that `playhead serve` prints leads here. Relative, because a proxy may add a path.
  app.get('/', { schema }, (_request, reply) => reply.redirect('console'));
  app.get('/console/', { schema }, (_request, reply) => reply.redirect('../console'));
}
