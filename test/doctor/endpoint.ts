import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http';
import type { Test } from 'tap';
import { select } from '../../src/streaming/range.ts';
import { serve } from '../servers/serve.ts';

export const recording = randomBytes(300_000);
export const token = 'a-secret-token';
export const etag = '"v1"';
export const lastModified = new Date('2026-01-02T03:04:05Z');

export interface Reply {
  status: number;
  headers: OutgoingHttpHeaders;
  body: Uint8Array;
}

/** A fault of an endpoint: it misreads the request or alters the reply. */
export interface Fault {
  misread?: (headers: IncomingHttpHeaders, method: string) => void;
  alter?: (reply: Reply, headers: IncomingHttpHeaders, method: string) => void;
}

export const cors = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Accept-Ranges, Content-Length, Content-Range, ETag',
};

/** The correct reply, except for the fault. */
function streamReply(method: string, headers: IncomingHttpHeaders, bytes: Buffer, fault: Fault): Reply {
  if (method === 'OPTIONS') {
    const preflight = { ...cors, 'access-control-allow-headers': 'Range, If-Range' };
    const reply = { status: 204, headers: preflight, body: Buffer.alloc(0) };
    fault.alter?.(reply, headers, method);
    return reply;
  }
  fault.misread?.(headers, method);
  const representation = { size: bytes.length, etag, lastModified };
  const selection = select(method, headers, representation, 'application/octet-stream');
  const chunks = selection.body.map((part) =>
    part instanceof Uint8Array ? part : bytes.subarray(part.first, part.last + 1),
  );
  const type = { 'content-type': 'application/octet-stream' };
  const reply = {
    ...selection,
    headers: { ...type, ...cors, ...selection.headers },
    body: Buffer.concat(chunks),
  };
  fault.alter?.(reply, headers, method);
  return reply;
}

/** Serves `bytes` below /stream, and their URL as an authenticated URL below /retrieve. */
export async function startEndpoint(t: Test, fault: Fault = {}, bytes: Buffer = recording): Promise<string> {
  const { url: origin } = await serve(t, ({ method = '', url = '', headers }, response) => {
    const json = JSON.stringify({ authenticatedUrl: `${origin}/stream/${token}` });
    const { pathname, searchParams } = new URL(url, origin);
    const isKnown = pathname === '/retrieve/call%2F1' && searchParams.get('externalAccountId') === 'acme';
    const reply = pathname.startsWith('/stream/')
      ? streamReply(method, headers, bytes, fault)
      : { status: isKnown ? 200 : 404, headers: {}, body: Buffer.from(isKnown ? json : '{}') };
    response.writeHead(reply.status, reply.headers).end(reply.body);
  });
  return origin;
}
