import { Finding } from './finding.ts';
import type { Source } from './source.ts';

const pageSize = 16 * 1024;
const maxPages = 16;

/**
 * Reads a source within an allowance of bytes and time, and keeps the pages last read, so that a parser may
 * ask for a few bytes at a time. Whatever stops a read stops every later one too: a parser that swallows
 * errors cannot go on, and `settle` tells what it hid.
 */
export class SourceReader {
  readonly size: number;
  bytesRead = 0;
  #source: Source;
  #allowance = 0;
  #deadline = 0;
  #stopped: unknown;
  #pages = new Map<number, Promise<Uint8Array>>();

  constructor(source: Source) {
    this.#source = source;
    this.size = source.size;
  }

  /** Sets what may be read from here on, and in which time; waiting for the source does not count. */
  allow(bytes: number, milliseconds: number): void {
    this.#allowance = this.bytesRead + bytes;
    this.#deadline = performance.now() + milliseconds;
  }

  /** @throws whatever stopped an earlier read */
  settle(): void {
    if (this.#stopped !== undefined) throw this.#stopped;
  }

  /**
   * Exactly `length` bytes, not to be written to.
   *
   * @throws Finding `truncated` beyond the end of the file, `too_complex` beyond the allowance
   */
  async read(offset: number, length: number): Promise<Uint8Array> {
    this.settle();
    if (length <= 0) return new Uint8Array(0);
    if (offset + length > this.size) throw new Finding('truncated', offset + length, this.size);
    const first = Math.floor(offset / pageSize);
    const last = Math.floor((offset + length - 1) / pageSize);
    if (last > first) return this.#fetch(offset, length);
    const page = await this.#page(first);
    return page.subarray(offset - first * pageSize, offset - first * pageSize + length);
  }

  /** As `read`, for numbers of either byte order. */
  async view(offset: number, length: number): Promise<DataView> {
    const bytes = await this.read(offset, length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** Up to `length` characters of one byte each. */
  async text(offset: number, length: number): Promise<string> {
    const bytes = await this.read(offset, Math.max(0, Math.min(length, this.size - offset)));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  }

  async #page(index: number): Promise<Uint8Array> {
    const held = this.#pages.get(index);
    if (held) return held;
    const start = index * pageSize;
    const page = this.#fetch(start, Math.min(pageSize, this.size - start));
    this.#pages.set(index, page);
    if (this.#pages.size > maxPages) this.#pages.delete(this.#pages.keys().next().value!);
    return page;
  }

  async #fetch(offset: number, length: number): Promise<Uint8Array> {
    try {
      if (this.bytesRead + length > this.#allowance) {
        throw new Finding('too_complex', this.bytesRead + length, this.#allowance);
      }
      if (performance.now() > this.#deadline) throw new Finding('too_complex', 'time');
      this.bytesRead += length;
      const asked = performance.now();
      const bytes = await this.#source.read(offset, length);
      this.#deadline += performance.now() - asked;
      return bytes;
    } catch (error) {
      this.#stopped ??= error;
      throw error;
    }
  }
}
