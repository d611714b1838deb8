import { createHash } from 'node:crypto';
import { isProblem, Problem } from '../errors.ts';
import type { Origin, Representation, Store } from '../origins/origin.ts';
import type { PlayableRecording } from '../recordings/recording.ts';
import { Turns } from '../turns.ts';

/** Recordings that are copied at one time: enough to hide the latency of S3. */
const parallelCopies = 8;

/**
 * Runs `task` for each recording, several at one time.
 *
 * @param signal aborts when a task has failed
 * @throws what the first task that failed has thrown, once all have ended
 */
export async function each(
  recordings: PlayableRecording[],
  task: (recording: PlayableRecording, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const turns = new Turns(parallelCopies);
  const failed = new AbortController();
  const run = (recording: PlayableRecording) =>
    turns
      .run(failed.signal, () => task(recording, failed.signal))
      .catch((error) => {
        failed.abort(error);
      });
  await Promise.all(recordings.map(run));
  failed.signal.throwIfAborted();
}

/**
 * Copies audio to another store. The copy appears only if its bytes are those that were checked.
 *
 * @throws Problem `not_found` if the audio is lost, `version_changed` if its bytes are others, `conflict` if the key
 *   is taken, and what the origin and the store throw
 */
export async function copyAudio(
  from: Origin,
  to: Store,
  recording: PlayableRecording,
  signal: AbortSignal,
  key = recording.key,
): Promise<Representation> {
  return to.write(key, verified(await openWhole(from, recording, signal), recording), signal);
}

/**
 * Reads audio to its end.
 *
 * @returns the ETag of the origin for what was read
 * @throws Problem `not_found`, `version_changed` if the bytes are not those that were checked, and what the origin
 *   throws
 */
export async function verifyAudio(
  from: Origin,
  recording: PlayableRecording,
  signal: AbortSignal,
): Promise<string> {
  const { etag } = await from.stat(recording.key, signal);
  for await (const _ of verified(
    await openWhole(from, { ...recording, originEtag: etag }, signal),
    recording,
  ));
  return etag;
}

/**
 * Reads the version that was checked. A copy of a folder or a bucket may have another ETag for the same bytes, so if
 * there is another version, that one is read: its bytes decide.
 */
async function openWhole(
  from: Origin,
  recording: PlayableRecording,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const { key, size, originEtag: etag } = recording;
  const whole = { first: 0, last: size - 1 };
  try {
    return await from.read(key, whole, { etag, size }, signal);
  } catch (error) {
    if (!isProblem(error, 'version_changed')) throw error;
    const there = await from.stat(key, signal);
    if (there.size !== size || there.etag === etag) throw error;
    return from.read(key, whole, there, signal);
  }
}

async function* verified(
  bytes: AsyncIterable<Uint8Array>,
  { sha256 }: PlayableRecording,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) {
    hash.update(chunk);
    yield chunk;
  }
  if (sha256 === null || hash.digest('hex') === sha256) return;
  throw new Problem('version_changed', undefined, { cause: 'the bytes are not those that were checked' });
}

/** Whether the error says that the audio itself is lost or damaged, so that another attempt would not help. */
export function isLoss(error: unknown): boolean {
  return isProblem(error, 'not_found') || isProblem(error, 'version_changed');
}
