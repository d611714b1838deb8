import { isProblem } from '../errors.ts';
import type { ByteRange, Origin, Representation, Store, Version } from './origin.ts';

/**
 * A store while recordings are moved to it from another one. Writes go to the new store. A key exists in one of them
 * only, so a read looks for it in both. A removal removes it from both.
 */
export class MovingStore implements Store {
  readonly #store: Store;
  readonly #stores: readonly Store[];

  /** @param order both stores: the one that is cheaper to ask comes first */
  constructor(store: Store, order: readonly [Store, Store]) {
    this.#store = store;
    this.#stores = order;
  }

  stat(key: string, signal?: AbortSignal): Promise<Representation> {
    return this.#find((store) => store.stat(key, signal));
  }

  read(
    key: string,
    range: ByteRange,
    version: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    return this.#find((store) => store.read(key, range, version, signal));
  }

  write(key: string, bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Representation> {
    return this.#store.write(key, bytes, signal);
  }

  async remove(key: string): Promise<void> {
    for (const store of this.#stores) await store.remove(key);
  }

  async #find<T>(look: (store: Origin) => Promise<T>): Promise<T> {
    const [first, second] = this.#stores;
    try {
      return await look(first!);
    } catch (error) {
      if (!isProblem(error, 'not_found')) throw error;
      return look(second!);
    }
  }
}
