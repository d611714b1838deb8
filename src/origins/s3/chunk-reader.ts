/** Cuts a stream into chunks that fill the caller's buffers. */
export class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  /** The end of the last chunk of the stream, which did not fit into the buffer. */
  #rest: Uint8Array = new Uint8Array();
  /** Bytes read so far. */
  bytesRead = 0;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#chunks = bytes[Symbol.asyncIterator]();
  }

  /** Fills `buffer`. Returns its filled part, which is shorter only at the end of the stream. */
  async fill(buffer: Buffer): Promise<Buffer> {
    let filled = 0;
    while (filled < buffer.length) {
      if (this.#rest.length === 0) {
        const { value, done } = await this.#chunks.next();
        if (done) break;
        this.#rest = value;
      }
      const part = this.#rest.subarray(0, buffer.length - filled);
      buffer.set(part, filled);
      filled += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    this.bytesRead += filled;
    return buffer.subarray(0, filled);
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
