import type { MultipartFile } from '@fastify/multipart';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';

export interface Upload {
  /** The part `recording`, parsed; undefined where the form has none. */
  recording: unknown;
  fileName: string;
  /** The part `audio`, as it streams in. */
  audio: AsyncIterable<Uint8Array>;
}

/**
 * Reads a form up to the first byte of its audio: the part `recording` (JSON), if any, and then the part
 * `audio`. This order lets the audio stream from the socket into the store, never whole in memory.
 *
 * @param stallMs a sender that sends nothing for this long is cut off
 * @throws Problem `invalid_request`, `unsupported_media_type`
 */
export async function readUpload(request: FastifyRequest, stallMs: number): Promise<Upload> {
  if (!request.isMultipart()) throw new Problem('unsupported_media_type');
  request.socket.setTimeout(stallMs);
  let recording: unknown;
  try {
    for await (const part of request.parts({ limits: { files: 1, fields: 1, fieldSize: 1024 * 1024 } })) {
      if (part.type === 'file' && part.fieldname === 'audio') {
        return { recording, fileName: part.filename, audio: whole(part, request) };
      }
      if (part.type !== 'field' || part.fieldname !== 'recording') break;
      recording = parseJson(String(part.value));
    }
  } catch (error) {
    throw unreadable(error);
  }
  throw new Problem(
    'invalid_request',
    'The form must hold the part "recording" (JSON) and then the part "audio" (the file).',
  );
}

/** Aborts when whoever sent the request leaves; `request.signal` aborts as soon as the body has been read. */
export function departure(reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  reply.raw.once('close', () => left.abort());
  return left.signal;
}

/** The parser marks a file that reached its limit instead of failing: audio cut short must never pass as whole. */
async function* whole({ file }: MultipartFile, request: FastifyRequest): AsyncIterable<Uint8Array> {
  try {
    yield* file;
  } catch (error) {
    throw unreadable(error);
  }
  request.socket.setTimeout(0); // the check that follows sends nothing for as long as it takes
  if (file.truncated) throw new Problem('too_large');
}

/** What the parser throws at a form that is malformed or cut short bears no status, but is the sender's mistake. */
function unreadable(error: unknown): unknown {
  if (error instanceof Problem || (error as { statusCode?: number }).statusCode) return error;
  return new Problem('invalid_request', 'The form is malformed, or ends early.', { cause: error });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem('invalid_request', 'The part "recording" is not valid JSON.');
  }
}
