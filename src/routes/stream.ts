import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { StreamClaims } from '../access/tokens.ts';
import { Problem } from '../errors.ts';
import type { ByteRange } from '../origins/origin.ts';
import type { Parts } from '../parts.ts';
import { isPlayable, type PlayableRecording, type Recording } from '../recordings/recording.ts';
import { select } from '../streaming/range.ts';
import { send } from '../streaming/send.ts';
import { streamRoute } from '../urls.ts';
import type { AccountLimit, Limits } from './limits.ts';

type StreamRequest = FastifyRequest<{ Params: { token: string } }>;

/** For every container, because HubSpot's transcription downloads no other content type. */
const contentType = 'application/octet-stream';
const cacheControl = { 'cache-control': 'private, no-transform' };

/** A page of any origin may play a stream, because the URL is the only credential. It can read errors, too. */
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

const schema = {
  tags: ['stream'],
  summary: 'Bytes of a recording',
  description:
    'Supports the preconditions of RFC 9110 §13, and byte ranges (§14): one, or several as multipart/byteranges.',
};

/** `GET`, `HEAD`, `OPTIONS /stream/:token`: any byte range of the recording that the token is for. */
export function streamRoutes(
  app: FastifyInstance,
  parts: Parts,
  limits: Limits,
  accountLimit: AccountLimit,
): void {
  const { tokens, catalog, recordedAudio, metrics, config } = parts;
  const rateLimit = limits.perToken;

  app.addHook('onRequest', async (_request, reply) => void reply.headers(crossOrigin));
  app.options(streamRoute, { schema }, (_request, reply) => reply.code(204).headers(preflight).send());
  app.route({ method: ['GET', 'HEAD'], url: streamRoute, schema, config: { rateLimit }, handler: stream });

  async function stream(request: StreamRequest, reply: FastifyReply): Promise<void> {
    const claims = await tokens.verify(request.params.token);
    await accountLimit.add(request, claims.accountId);
    const recording = await find(claims);
    const { status, headers, body, kind } = select(request.method, request.headers, recording, contentType);
    const bytes = await open(body, (range) => recordedAudio.read(recording, range, request.signal));
    reply.headers({ ...(status < 300 && contentHeaders(recording)), ...cacheControl, ...headers }).hijack();
    const allHeaders = reply.getHeaders() as OutgoingHttpHeaders;
    const onSent = (length: number) => metrics.streamBytes.inc({ kind }, length);
    metrics.activeStreams.inc();
    await send(reply.raw, status, allHeaders, bytes, config.stallTimeout, onSent)
      .catch((error) => request.log.info({ err: error }, 'stream aborted'))
      .finally(() => metrics.activeStreams.dec());
  }

  /** The recording in the version that the token was signed for. */
  async function find({ accountId, externalId, etag }: StreamClaims): Promise<PlayableRecording> {
    const cached = await catalog.get(accountId, externalId);
    // Another process may have just replaced the recording and signed a token for the new version.
    const recording = cached?.etag === etag ? cached : await catalog.read(accountId, externalId);
    if (!isPlayable(recording)) throw new Problem('not_found');
    if (recording.etag !== etag) throw new Problem('invalid_token');
    return recording;
  }
}

/**
 * The whole body as one iterable. Opens its first byte range before it resolves, while the response can still
 * become an error. Opens each further range of a multipart body when its turn comes.
 */
async function open(
  body: ReadonlyArray<ByteRange | Uint8Array>,
  read: (range: ByteRange) => Promise<AsyncIterable<Uint8Array>>,
): Promise<AsyncIterable<Uint8Array>> {
  const first = body.find(isRange);
  const opened = first && (await read(first));
  if (opened && body.length === 1) return opened;
  return (async function* () {
    for (const part of body) {
      if (!isRange(part)) yield part;
      else if (part === first) yield* opened!;
      else yield* await read(part);
    }
  })();
}

function isRange(part: ByteRange | Uint8Array): part is ByteRange {
  return !(part instanceof Uint8Array);
}

/** Describe the content of a 200 or 206. A 304 omits them (RFC 9110 §15.4.5). */
function contentHeaders({ externalId, container }: Recording): Record<string, string> {
  return {
    'content-type': contentType,
    'content-disposition': disposition(`${externalId}.${container ?? 'bin'}`),
  };
}

/** RFC 6266, with RFC 8187 for names beyond ASCII. */
function disposition(name: string): string {
  // A fast path for most names, because this runs for every range request.
  if (/^[\w.-]+$/.test(name)) return `attachment; filename="${name}"; filename*=UTF-8''${name}`;
  const safe = name.replace(/[/\\:*?"<>|\p{Cc}]/gu, '_');
  // Some browsers decode `%` in `filename` (RFC 6266, Appendix D).
  const ascii = safe.replace(/[^\x20-\x7e]/g, '_').replaceAll('%', '_');
  const encoded = encodeURIComponent(safe).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
