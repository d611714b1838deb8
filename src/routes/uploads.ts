import type { MultipartFile } from '@fastify/multipart';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';

export interface Upload {
  /** The part `recording`, parsed; undefined where the form has none. */
  recording: unknown;
  fileName?: string;
  /** The part `audio`, as it streams in. */
  audio: AsyncIterable<Uint8Array>;
}

/** Bytes of the part `recording`. */
const recordingLimit = 1024 * 1024;
/** Clients write JSON with a file name or a type or neither, and the parser would treat each in another way. */
const isPartAFile = () => true;

/**
 * Reads a form up to the first byte of its audio: the part `recording` (JSON), if any, and then the part
 * `audio`. This order lets the audio stream from the socket into the store, never whole in memory.
 *
 * @throws Problem `invalid_request`, `unsupported_media_type`
 */
export async function readUpload(request: FastifyRequest): Promise<Upload> {
  if (!request.isMultipart()) throw new Problem('unsupported_media_type');
  let recording: unknown;
  try {
    for await (const part of request.parts({ isPartAFile })) {
      if (part.type !== 'file') break;
      if (part.fieldname === 'audio') {
        return { recording, fileName: part.filename, audio: whole(part) };
      }
      if (part.fieldname !== 'recording' || recording !== undefined) break;
      recording = await readRecording(part.file);
    }
  } catch (error) {
    throw unreadable(error);
  }
  throw new Problem(
    'invalid_request',
    'The form must hold the part "recording" (JSON) and then the part "audio" (the file).',
  );
}

async function readRecording(part: AsyncIterable<Uint8Array>): Promise<unknown> {
  const wrong = new Problem('invalid_request', 'The part "recording" must be valid JSON of 1 MB at most.');
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of part) {
    size += chunk.byteLength;
    if (size > recordingLimit) throw wrong;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw wrong;
  }
}

/** Aborts when whoever sent the request leaves; `request.signal` aborts as soon as the body has been read. */
export function departure(reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  reply.raw.once('close', () => left.abort());
  return left.signal;
}

/** The parser marks a file that reached its limit instead of failing: audio cut short must never pass as whole. */
async function* whole({ file }: MultipartFile): AsyncIterable<Uint8Array> {
  try {
    yield* file;
  } catch (error) {
    throw unreadable(error);
  }
  if (file.truncated) throw new Problem('too_large');
}

/** What the parser throws at a form that is malformed or cut short bears no status, but is the sender's mistake. */
function unreadable(error: unknown): unknown {
  if (error instanceof Problem || (error as { statusCode?: number }).statusCode) return error;
  return new Problem('invalid_request', 'The form is malformed, or ends early.', { cause: error });
}
