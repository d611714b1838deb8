import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamClaims } from '../access/tokens.ts';
import { Problem } from '../errors.ts';
import type { ByteRange } from '../origins/origin.ts';
import type { Parts } from '../parts.ts';
import type { Recording } from '../recordings/recording.ts';
import { select } from '../streaming/range.ts';
import { send } from '../streaming/send.ts';
import { streamRoute } from '../urls.ts';
import type { Limits } from './limits.ts';

const contentType = 'application/octet-stream'; // what HubSpot's transcription downloads, whatever the container

const cacheControl = { 'cache-control': 'private, no-transform' };

// No credentials are needed, so any page may listen; the errors carry these, too, or the page could not read why.
const crossOrigin = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Accept-Ranges, Content-Length, Content-Range, ETag',
  'cross-origin-resource-policy': 'cross-origin',
};

const preflight = {
  ...crossOrigin,
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers':
    'Range, If-Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since',
  'access-control-max-age': '86400',
};

type StreamRequest = FastifyRequest<{ Params: { token: string } }>;

/** `GET`, `HEAD`, `OPTIONS /stream/:token`: any byte range of the recording that the token names. */
export function streamRoutes(app: FastifyInstance, parts: Parts, limits: Limits): void {
  const { tokens, catalog, origins, metrics, config } = parts;
  const schema = {
    tags: ['stream'],
    summary: 'Bytes of a recording',
    description: 'Honours Range, If-Range and every precondition of RFC 9110 §13 and §14.',
  };

  app.addHook('onRequest', async (_request, reply) => void reply.headers(crossOrigin));
  app.options(streamRoute, { schema }, (_request, reply) => reply.code(204).headers(preflight).send());
  app.route({
    method: ['GET', 'HEAD'],
    url: streamRoute,
    schema,
    config: { rateLimit: limits.perToken },
    handler: stream,
  });

  async function stream(request: StreamRequest, reply: FastifyReply): Promise<void> {
    const claims = await tokens.verify(request.params.token);
    const recording = playable(await find(claims), claims.etag);
    const { status, headers, body, kind } = select(request.method, request.headers, recording, contentType);
    const { key, originEtag: etag, size } = recording;
    const bytes = await open(body, (range) =>
      origins[recording.origin].read(key, range, { etag, size }, request.signal),
    );
    reply
      .headers({ ...(status < 300 ? contentHeaders(recording) : {}), ...cacheControl, ...headers })
      .hijack();
    metrics.activeStreams.inc();
    try {
      const heard = (length: number) => metrics.streamBytes.inc({ kind }, length);
      await send(
        reply.raw,
        status,
        reply.getHeaders() as OutgoingHttpHeaders,
        bytes,
        config.stallTimeout,
        heard,
      );
    } catch (error) {
      request.log.info({ err: error }, 'stream aborted');
    } finally {
      metrics.activeStreams.dec();
    }
  }

  /** From memory, unless another process has replaced the recording a moment ago and signed for what is there now. */
  async function find({ accountId, externalId, etag }: StreamClaims): Promise<Recording | undefined> {
    const held = await catalog.get(accountId, externalId);
    return held?.etag === etag ? held : catalog.read(accountId, externalId);
  }
}

/** The recording if it is there to be heard in the very version that the token was signed for. */
function playable(recording: Recording | undefined, etag: string): Recording & { key: string } {
  if (!recording?.key) throw new Problem('not_found');
  if (recording.etag !== etag) throw new Problem('invalid_token');
  return recording as Recording & { key: string };
}

/**
 * The body as one iteration. Its first byte range is opened before this resolves, while the answer can
 * still become an error; the further parts of a multipart body are opened in their turn.
 */
async function open(
  body: ReadonlyArray<ByteRange | Uint8Array>,
  read: (range: ByteRange) => Promise<AsyncIterable<Uint8Array>>,
): Promise<AsyncIterable<Uint8Array>> {
  const first = body.find((piece) => !(piece instanceof Uint8Array)) as ByteRange | undefined;
  const opened = first && (await read(first));
  if (opened && body.length === 1) return opened;
  return (async function* () {
    for (const piece of body) {
      if (piece instanceof Uint8Array) yield piece;
      else yield* piece === first ? opened! : await read(piece);
    }
  })();
}

/** Of an answer with content: a 304 says nothing of it (RFC 9110 §15.4.5). */
function contentHeaders(recording: Recording): Record<string, string> {
  return {
    'content-type': contentType,
    'content-disposition': disposition(`${recording.externalId}.${recording.container ?? 'bin'}`),
  };
}

/** RFC 6266, with RFC 8187 for names beyond ASCII. */
function disposition(name: string): string {
  // Most names need no change, and this is done for each range.
  if (/^[\w.-]+$/.test(name)) return `attachment; filename="${name}"; filename*=UTF-8''${name}`;
  const safe = name.replace(/[/\\:*?"<>|\p{Cc}]/gu, '_');
  const plain = safe.replace(/[^\x20-\x7e]/g, '_').replaceAll('%', '_');
  const encoded = encodeURIComponent(safe).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}
