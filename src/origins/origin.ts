/** Positions in a representation, both ends included (RFC 9110 §14.1.2). */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** What is known of a selected representation before a byte of it is sent (RFC 9110 §8). */
export interface Representation {
  /** Bytes. */
  readonly size: number;
  /** Strong validator, with its quotes: `"3f2a…"` (§8.8.3). */
  readonly etag: string;
  readonly lastModified: Date;
}

/** The version of a recording that a read is for. */
export interface Version extends Pick<Representation, 'etag' | 'size'> {
  /**
   * SHA-256 of each block (cache/block.ts), hexadecimal, one after the other. A cache keeps and sends a block only if it
   * is that one. Undefined if they are not known.
   */
  readonly blockDigests?: string | undefined;
}

/**
 * Where bytes come from: a local folder, a bucket, a vendor's server, or a cache in front of one of these.
 * Every implementation passes the suite in test/contracts/origin.ts.
 */
export interface Origin {
  /** @throws Problem `not_found`, `origin_unavailable`, `origin_failed` */
  stat(key: string, signal?: AbortSignal): Promise<Representation>;

  /**
   * Opens `range` of `version`. Resolves once the origin has agreed to send exactly that: until then the
   * caller can still respond with an error. Afterwards the iteration yields every byte of the range or
   * throws. It never ends short.
   *
   * A chunk is valid until the next one is requested: its buffer is then reused. If the caller leaves the
   * iteration or aborts `signal`, the read frees at once what it holds.
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

/** An origin that recordings can be written to. */
export interface Store extends Origin {
  /**
   * Stores all of `bytes` under a new key. Resolves once they are durable. Until then the key cannot be read.
   * `remove` clears whatever a failed write leaves behind.
   *
   * @throws Problem `conflict` if the key is taken, `storage_full`, `origin_unavailable`, and what `bytes` throws
   */
  write(key: string, bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Representation>;

  /** Removes the recording and what an interrupted write left of it. Does nothing if there is neither. */
  remove(key: string): Promise<void>;
}
