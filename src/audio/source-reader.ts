import { Finding } from './finding.ts';
import type { Source } from './source.ts';

const pageBytes = 16 * 1024;
const maxPages = 16;

/**
 * Reads a source within limits of bytes and time. It keeps the last pages, so that a parser can read a few bytes at
 * a time. After a read has failed, every later read throws the same error. A parser that swallows errors therefore
 * cannot go on, and `rethrow` throws what it swallowed.
 */
export class SourceReader {
  readonly size: number;
  bytesRead = 0;
  readonly #source: Source;
  #maxBytesRead = 0;
  #deadlineMs = 0;
  #failure: unknown;
  readonly #pages = new Map<number, Promise<Uint8Array>>();

  constructor(source: Source) {
    this.#source = source;
    this.size = source.size;
  }

  /** Allows `bytes` more to be read within the next `ms`. Waiting for the source does not count as time. */
  allow(bytes: number, ms: number): void {
    this.#maxBytesRead = this.bytesRead + bytes;
    this.#deadlineMs = performance.now() + ms;
  }

  /** @throws the error of an earlier read */
  rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * Exactly `length` bytes, which must not be written to. A range across two pages is fetched and not kept.
   *
   * @throws Finding `truncated` beyond the end of the file, `too_complex` beyond the limits
   */
  async read(offset: number, length: number): Promise<Uint8Array> {
    this.rethrow();
    if (length <= 0) return new Uint8Array(0);
    if (offset + length > this.size) throw new Finding('truncated', offset + length, this.size);
    const firstPage = Math.floor(offset / pageBytes);
    const lastPage = Math.floor((offset + length - 1) / pageBytes);
    if (lastPage > firstPage) return this.#fetch(offset, length);
    const page = await this.#page(firstPage);
    const start = offset - firstPage * pageBytes;
    return page.subarray(start, start + length);
  }

  /** Like `read`, for numbers. */
  async view(offset: number, length: number): Promise<DataView> {
    const bytes = await this.read(offset, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** Up to `length` characters of one byte each (Latin-1); fewer at the end of the file. */
  async text(offset: number, length: number): Promise<string> {
    const bytes = await this.read(offset, Math.max(0, Math.min(length, this.size - offset)));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }

  async #page(index: number): Promise<Uint8Array> {
    const held = this.#pages.get(index);
    if (held) return held;
    const start = index * pageBytes;
    const page = this.#fetch(start, Math.min(pageBytes, this.size - start));
    this.#pages.set(index, page);
    if (this.#pages.size > maxPages) {
      const [oldest] = this.#pages.keys();
      this.#pages.delete(oldest!);
    }
    return page;
  }

  async #fetch(offset: number, length: number): Promise<Uint8Array> {
    try {
      if (this.bytesRead + length > this.#maxBytesRead) {
        throw new Finding('too_complex', this.bytesRead + length, this.#maxBytesRead);
      }
      if (performance.now() > this.#deadlineMs) throw new Finding('too_complex', 'time');
      this.bytesRead += length;
      const startedMs = performance.now();
      const bytes = await this.#source.read(offset, length);
      this.#deadlineMs += performance.now() - startedMs;
      return bytes;
    } catch (error) {
      this.#failure ??= error;
      throw error;
    }
  }
}
