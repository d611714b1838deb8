import type { MultipartFile } from '@fastify/multipart';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Problem } from '../errors.ts';

export interface Upload {
  /** The part `recording`, parsed. Undefined if the form has none. */
  recording: unknown;
  fileName?: string;
  /** The part `audio`, while it arrives. */
  audio: AsyncIterable<Uint8Array>;
}

/** Of the part `recording`, not of the audio. */
const maxRecordingJsonBytes = 1024 * 1024;
/** Treats every part as a file: clients send the part `recording` with or without a file name and a content type. */
const isPartAFile = () => true;

/**
 * Reads a form up to the first byte of its audio: the part `recording` (JSON), if there is one, then the part
 * `audio`. In this order the audio can stream from the socket into the store, never whole in memory.
 *
 * @throws Problem `invalid_request`, `unsupported_media_type`
 */
export async function readUpload(request: FastifyRequest): Promise<Upload> {
  if (!request.isMultipart()) throw new Problem('unsupported_media_type');
  let recording: unknown;
  try {
    for await (const part of request.parts({ isPartAFile })) {
      if (part.type !== 'file') break; // never, but the type does not know `isPartAFile`
      if (part.fieldname === 'audio') return { recording, fileName: part.filename, audio: audioOf(part) };
      if (part.fieldname !== 'recording' || recording !== undefined) break;
      recording = await readRecording(part.file);
    }
  } catch (error) {
    throw asInvalidForm(error);
  }
  throw new Problem(
    'invalid_request',
    'The form must have the part "recording" (JSON), then the part "audio" (the file).',
  );
}

async function readRecording(part: AsyncIterable<Uint8Array>): Promise<unknown> {
  const invalid = new Problem('invalid_request', 'The part "recording" must be valid JSON of at most 1 MB.');
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of part) {
    bytes += chunk.byteLength;
    if (bytes > maxRecordingJsonBytes) throw invalid;
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    throw invalid;
  }
}

/** Throws if the file is truncated. The parser only marks a truncated file, and it must not pass as complete. */
async function* audioOf({ file }: MultipartFile): AsyncIterable<Uint8Array> {
  try {
    yield* file;
  } catch (error) {
    throw asInvalidForm(error);
  }
  if (file.truncated) throw new Problem('too_large');
}

/** The parser's errors on a malformed or incomplete form have no status. They are the sender's mistakes. */
function asInvalidForm(error: unknown): unknown {
  if (error instanceof Problem || (error as { statusCode?: number }).statusCode) return error;
  return new Problem('invalid_request', 'The form is malformed or incomplete.', { cause: error });
}

/** Aborts when the client disconnects. `request.signal` would be wrong: it aborts once the body has been read. */
export function disconnectSignal(reply: FastifyReply): AbortSignal {
  const disconnected = new AbortController();
  reply.raw.once('close', () => disconnected.abort());
  return disconnected.signal;
}
