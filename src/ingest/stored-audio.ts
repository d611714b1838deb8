import { randomUUID } from 'node:crypto';
import { isProblem } from '../errors.ts';
import { blocksOf } from '../origins/cache/block.ts';
import type { Origins } from '../origins/open.ts';
import type { Representation, Store } from '../origins/origin.ts';
import type { Recording } from '../recordings/recording.ts';
import type { StoreKeys } from '../recordings/store-keys.ts';
import { requireSize } from './offer.ts';

export interface StoredAudioParts {
  store: Store;
  storeKeys: StoreKeys;
  forget: Origins['forget'];
  maxAudioBytes: number;
}

/**
 * Lease on a pending key, renewed after each third of it. A third must be at least a query timeout: after a
 * renewal that times out there is time for another.
 */
export const uploadLeaseMs = 30_000;

/** The audio in the store, from its pending key to its removal. */
export class StoredAudio {
  readonly #parts: StoredAudioParts;

  constructor(parts: StoredAudioParts) {
    this.#parts = parts;
  }

  /**
   * Runs `use` with a new pending key and renews its lease meanwhile. If `use` throws, the audio is discarded,
   * unless the database was out of reach.
   */
  async withNewKey<T>(use: (key: string) => Promise<T>): Promise<T> {
    const { storeKeys } = this.#parts;
    const key = newKey();
    await storeKeys.add(key, uploadLeaseMs);
    const renewal = setInterval(() => {
      // Database out of reach: the next renewal tries again. Key expired: `Catalog.put` will throw.
      storeKeys.renew(key, uploadLeaseMs).catch(() => {});
    }, uploadLeaseMs / 3);
    try {
      return await use(key);
    } catch (error) {
      // After this error the recording may have been committed, so its audio must stay. If it was not, the key
      // expires and `removeExpired` removes the audio.
      if (!isProblem(error, 'database_unavailable')) await this.discard(key);
      throw error;
    } finally {
      clearInterval(renewal);
    }
  }

  /** @throws Problem `too_large`, and what the store and `audio` throw */
  write(key: string, audio: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Representation> {
    return this.#parts.store.write(key, limited(audio, this.#parts.maxAudioBytes), signal);
  }

  /** Removes audio that no recording took. If that fails, its key expires and `removeExpired` tries again. */
  async discard(key: string): Promise<void> {
    await this.#remove(key).catch(() => {});
  }

  /**
   * Removes the audio of a recording that is no longer in the catalog, from the caches too. Removes what is kept of
   * its earlier audio as well: an erasure waits for nobody.
   */
  async removeOf(recording: Recording): Promise<void> {
    const { storeKeys } = this.#parts;
    const keys = recording.origin === 'store' && recording.key !== null ? [recording.key] : [];
    await this.#removeAndForget(recording, [...keys, ...(await storeKeys.replacedOf(recording.id))]);
  }

  /** Removes the audio that a recording had before it was replaced, unless it is kept. */
  async removeReplaced(replaced: Recording): Promise<void> {
    const isStored = replaced.origin === 'store' && replaced.key !== null;
    const keys = isStored ? await this.#parts.storeKeys.collectExpired(replaced.key!) : [];
    await this.#removeAndForget(replaced, keys);
  }

  /**
   * Removes the audio of every expired key: audio of ingests that crashed, and audio whose removal failed before.
   *
   * @returns how many were removed
   * @throws the first error of a removal, after every removal was tried
   */
  async removeExpired(): Promise<number> {
    const expired = await this.#parts.storeKeys.collectExpired();
    const failures: unknown[] = [];
    for (const key of expired) await this.#remove(key).catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
    return expired.length;
  }

  /** The caches were told by the change feed. A read may have cached blocks again before the removal. */
  async #removeAndForget({ origin, key, originEtag: etag, size }: Recording, keys: string[]): Promise<void> {
    for (const expired of keys) await this.#remove(expired);
    if (keys.length > 0 && key !== null) await this.#parts.forget(blocksOf(origin, key, etag, size));
  }

  async #remove(key: string): Promise<void> {
    await this.#parts.store.remove(key);
    await this.#parts.storeKeys.delete(key);
  }
}

/** Spreads the keys over 256 folders, so that no folder of a local store holds a million recordings. */
function newKey(): string {
  const id = randomUUID();
  return `${id.slice(0, 2)}/${id}`;
}

async function* limited(audio: AsyncIterable<Uint8Array>, maxAudioBytes: number): AsyncIterable<Uint8Array> {
  let bytes = 0;
  for await (const chunk of audio) {
    bytes += chunk.byteLength;
    requireSize(bytes, maxAudioBytes);
    yield chunk;
  }
}
