import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';

const html = 'text/html; charset=utf-8';
const css = 'text/css; charset=utf-8';
const script = 'text/javascript; charset=utf-8';

const files = [
  ['/console', 'index.html', html],
  ['/console/style.css', 'style.css', css],
  ['/console/app.js', 'app.js', script],
  ['/console/channels.js', 'channels.js', script],
  ['/console/check.js', 'check.js', script],
  ['/console/element.js', 'element.js', script],
  ['/console/page.js', 'page.js', script],
  ['/console/recordings.js', 'recordings.js', script],
  ['/console/report.js', 'report.js', script],
  ['/console/v1.js', 'v1.js', script],
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
  // `playhead serve` prints the URL of `/`. The redirects are relative, because a proxy may add a path.
  app.get('/', { schema }, (_request, reply) => reply.redirect('console'));
  app.get('/console/', { schema }, (_request, reply) => reply.redirect('../console'));
}
