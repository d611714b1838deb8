import { LRUCache } from 'lru-cache';
import type { Changes } from '../db/changes.ts';
import { isProblem, Problem } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { ByteRange, Origin } from '../origins/origin.ts';
import { Turns } from '../turns.ts';
import type { AudioState, OriginName } from '../unions.ts';
import type { Catalog } from './catalog.ts';
import { type Content, setContent } from './content.ts';
import { ContentHash } from './content-hash.ts';
import { isPlayable, type PlayableRecording } from './recording.ts';

export type Verification =
  | { state: Extract<AudioState, 'intact' | 'copied'>; content: Content }
  | { state: Extract<AudioState, 'damaged' | 'missing'> };

export interface RecordedAudioParts {
  catalog: Catalog;
  changes: Changes;
  /** Recordings are played from these. */
  origins: Record<OriginName, Origin>;
  /** The store, for reads of whole recordings, not cached. */
  whole: Origin;
  metrics: Pick<Metrics, 'verifications'>;
}

/** Recordings that are compared with their SHA-256 at one time because somebody wants to listen. */
const verificationsAtOnce = 2;
/** How long other bytes are denied without another look. */
const denyMs = 60_000;
const maxDenied = 10_000;
/** A signal that never aborts: others may wait for the same verification. */
const endless = new AbortController().signal;

/**
 * The audio of recordings, known by its SHA-256. The version at the origin, such as the modification time of a file, is
 * only the quick way to see that nothing has changed: a copy that was restored from a backup has another version.
 */
export class RecordedAudio {
  readonly #parts: RecordedAudioParts;
  readonly #turns = new Turns(verificationsAtOnce, { queue: 100 });
  /** Verifications under way, by the recording's id. */
  readonly #underWay = new Map<string, Promise<PlayableRecording>>();
  /** Recordings whose bytes are others, and the version that the catalog names. */
  readonly #denied = new LRUCache<string, string>({ max: maxDenied, ttl: denyMs });

  constructor(parts: RecordedAudioParts) {
    this.#parts = parts;
  }

  /**
   * Opens a range, as `Origin.read` does. If the store has another version of the same size, its bytes are compared
   * with the SHA-256, once for all who wait. The right bytes are played from then on. So are those of a damaged
   * recording, once they are back. If the cache cannot get a block that is right, they are compared, too.
   *
   * @throws Problem `audio_damaged` if the bytes are known to be others, and what the origin throws
   */
  async read(
    recording: PlayableRecording,
    range: ByteRange,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    if (recording.damagedAt)
      return this.#open(await this.#pin(recording, new Problem('audio_damaged')), range, signal);
    try {
      return await this.#open(recording, range, signal);
    } catch (error) {
      if (isProblem(error, 'not_found'))
        return this.#open(await this.#successor(recording, error), range, signal);
      const isDoubtful = isProblem(error, 'version_changed') || isProblem(error, 'audio_damaged');
      if (!isDoubtful || !isVerifiable(recording)) throw error;
      return this.#open(await this.#pin(recording, error), range, signal);
    }
  }

  /**
   * The same audio under another store key. Another process may have just moved it, or erased the recording and put it
   * in again, and this process has not learnt of it yet.
   *
   * @throws `otherwise` if there is none
   */
  async #successor(recording: PlayableRecording, otherwise: Problem): Promise<PlayableRecording> {
    const known = await this.#parts.catalog.read(recording.accountId, recording.externalId);
    if (isPlayable(known) && known.etag === recording.etag && known.key !== recording.key) return known;
    throw otherwise;
  }

  /** Whether the store has the audio in the version that the catalog names, and it is not known to be damaged. */
  async isThere({ key, originEtag, damagedAt }: PlayableRecording): Promise<boolean> {
    if (damagedAt) return false;
    try {
      return (await this.#parts.whole.stat(key)).etag === originEtag;
    } catch (error) {
      if (isProblem(error, 'not_found')) return false;
      throw error;
    }
  }

  /**
   * Reads the whole audio of a recording in the store, and compares it with the SHA-256. Changes nothing.
   *
   * @returns undefined if the recording was replaced, moved or removed meanwhile
   * @param onBytes is called with the number of bytes of each chunk. The next chunk waits for it
   * @throws the reason of `signal`, and what the store and `onBytes` throw
   */
  async verify(
    recording: PlayableRecording,
    signal: AbortSignal,
    onBytes: (bytes: number) => Promise<void> | undefined = () => undefined,
  ): Promise<Verification | undefined> {
    const { whole, metrics } = this.#parts;
    const verification = await examine(whole, recording, signal, onBytes);
    if (!('content' in verification) && !(await this.#isCurrent(recording))) return undefined;
    metrics.verifications.inc({ state: verification.state });
    return verification;
  }

  /** Stores what a verification has found. */
  async record(recording: PlayableRecording, verification: Verification): Promise<void> {
    const found = 'content' in verification ? verification.content : verification.state;
    await setContent(this.#parts.changes, recording, found);
  }

  /** Whether the catalog still has the recording with this audio in this version. */
  async #isCurrent({ accountId, externalId, key, originEtag }: PlayableRecording): Promise<boolean> {
    const known = await this.#parts.catalog.read(accountId, externalId);
    return known?.key === key && known.originEtag === originEtag;
  }

  #open(recording: PlayableRecording, range: ByteRange, signal: AbortSignal) {
    const { origin, key, originEtag, size, blockDigests } = recording;
    return this.#parts.origins[origin].read(key, range, { etag: originEtag, size, blockDigests }, signal);
  }

  /** The recording with the version that is there now. @throws `otherwise` if its bytes are not those that were checked */
  #pin(recording: PlayableRecording, otherwise: Problem): Promise<PlayableRecording> {
    const { id, originEtag } = recording;
    if (this.#denied.get(id) === originEtag) throw otherwise;
    const pin = async () => {
      const { catalog } = this.#parts;
      const { accountId, externalId, etag } = recording;
      const known = await catalog.read(accountId, externalId);
      // Another request may have pinned it since this one read the catalog.
      if (isPlayable(known) && known.etag === etag && known.originEtag !== originEtag) return known;
      const verification = await this.verify(recording, endless);
      if (verification && !('content' in verification)) {
        this.#denied.set(id, originEtag);
        // Every process then denies it, and the same audio takes its place if it is sent again.
        if (otherwise.code === 'audio_damaged') await this.record(recording, verification);
        throw otherwise;
      }
      if (verification) await this.record(recording, verification);
      const current = await catalog.read(accountId, externalId);
      if (isPlayable(current) && current.etag === etag) return current;
      throw otherwise; // it was replaced or removed meanwhile
    };
    const pinning =
      this.#underWay.get(id) ?? this.#turns.run(endless, pin).finally(() => this.#underWay.delete(id));
    this.#underWay.set(id, pinning);
    return pinning;
  }
}

/** A reference was never read whole, so its SHA-256 is not known. */
function isVerifiable({ origin, sha256 }: PlayableRecording): boolean {
  return origin === 'store' && sha256 !== null;
}

async function examine(
  whole: Origin,
  recording: PlayableRecording,
  signal: AbortSignal,
  onBytes: (bytes: number) => Promise<void> | undefined,
): Promise<Verification> {
  const { key, size, sha256, originEtag } = recording;
  try {
    const version = await whole.stat(key, signal);
    if (version.size !== size) return { state: 'damaged' };
    const hash = new ContentHash();
    const range = { first: 0, last: size - 1 };
    for await (const chunk of await whole.read(key, range, version, signal)) {
      hash.update(chunk);
      await onBytes(chunk.length);
    }
    const digest = hash.digest();
    if (digest.sha256 !== sha256) return { state: 'damaged' };
    const content = { originEtag: version.etag, blockDigests: digest.blockDigests };
    return { state: version.etag === originEtag ? 'intact' : 'copied', content };
  } catch (error) {
    if (isProblem(error, 'not_found')) return { state: 'missing' };
    throw error;
  }
}
