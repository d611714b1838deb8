/** A range of positions in a representation, both ends included, as RFC 9110 §14.1.2 counts them. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** What must be known of a selected representation before a byte of it is sent (RFC 9110 §8). */
export interface Representation {
  /** Bytes. */
  readonly size: number;
  /** Strong validator, with its quotes: `"3f2a…"` (§8.8.3). */
  readonly etag: string;
  readonly lastModified: Date;
}

/** What names the bytes of a recording: everyone who reads it learned both when it was looked up. */
export type Version = Pick<Representation, 'etag' | 'size'>;

/**
 * Where bytes come from: a local folder, a bucket, a vendor's server, or a cache in front of one of these.
 * The suite in test/contracts/origin.ts is what every implementation must do.
 */
export interface Origin {
  /**
   * @throws Problem `not_found`, `origin_unavailable`, `origin_failed`
   */
  stat(key: string, signal?: AbortSignal): Promise<Representation>;

  /**
   * Opens `range` of `version`. Resolves once the origin has agreed to send exactly that: until then the
   * caller can still respond with an error. Afterwards the iteration yields every byte of the range or
   * throws. It never ends short.
   *
   * A chunk belongs to the caller until it asks for the next one; the buffer behind it is then reused.
   * Leaving the iteration, or aborting `signal`, frees what the read holds at once.
   *
   * @throws Problem `not_found`, `version_changed`, `origin_unavailable`, `origin_failed`
   */
  read(
    key: string,
    range: ByteRange,
    version: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>>;
}

/** An origin that recordings can be put into. */
export interface Store extends Origin {
  /**
   * Stores all of `bytes` under `key`, which must be new. Resolves once the whole is durable; until then
   * nothing can be read under the key, and a failure leaves nothing behind that `remove` does not clear.
   *
   * @throws Problem `storage_full`, `origin_unavailable`, and whatever `bytes` throws
   */
  write(key: string, bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Representation>;

  /** Removes the recording and whatever an interrupted write left of it. Removing nothing is no error. */
  remove(key: string): Promise<void>;
}
