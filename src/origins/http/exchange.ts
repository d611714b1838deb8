import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { isProblem, Problem } from '../../errors.ts';
import type { HttpResponse } from './http-client.ts';

/** If this many bytes wait for the reader of a body, the connection is paused. */
const maxQueuedBytes = 128 * 1024;
/** A chunk up to this length is copied if no reader waits for it. */
const maxCopyBytes = 16 * 1024;
/** A body that is discarded is read to its end if it is this short, to keep its connection. */
const maxDiscardBytes = 64 * 1024;

/**
 * One request and its response: a handler on undici's lowest level, with a queue of chunks. A Readable for
 * each body costs a fifth more CPU per byte.
 */
export class Exchange implements Dispatcher.DispatchHandler, HttpResponse, AsyncIterableIterator<Uint8Array> {
  status = 0;
  headers: IncomingHttpHeaders = {};
  readonly #head = Promise.withResolvers<HttpResponse>();
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.#abort(this.#signal.reason);
  readonly #onBytes: (bytes: number) => void;
  readonly #onEnd: () => void;
  readonly #headTimer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #chunks: Uint8Array[] = [];
  /** In `#chunks`. */
  #queuedBytes = 0;
  #deliveredBytes = 0;
  #expectedBytes: number | undefined;
  /** The rest of the body is received and dropped. */
  #isDiscarded = false;
  #isOver = false;
  #failure: unknown;
  /** Set while the reader waits. */
  #news: PromiseWithResolvers<void> | undefined;
  /** The last chunk is in the buffer of the connection, which is paused until the reader is done with the chunk. */
  #isLent = false;

  /**
   * @param stallTimeoutMs how long to wait for a free connection and the head, together
   * @param onBytes is called with the length of each chunk that arrives
   * @param onEnd is called once, when the exchange no longer needs its connection
   */
  constructor(
    stallTimeoutMs: number,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
    onEnd: () => void,
  ) {
    this.#signal = signal;
    this.#onBytes = onBytes;
    this.#onEnd = onEnd;
    this.#headTimer = setTimeout(() => this.#abort(unavailable('no response in time')), stallTimeoutMs);
    signal.addEventListener('abort', this.#onAbort);
  }

  get head(): Promise<HttpResponse> {
    return this.#head.promise;
  }

  bytes(length?: number): AsyncIterableIterator<Uint8Array> {
    this.#expectedBytes = length;
    return this;
  }

  discard(): void {
    const isShort = Number(this.headers['content-length']) <= maxDiscardBytes;
    if (isShort) {
      this.#isDiscarded = true;
      this.#chunks = []; // one may have arrived with the head, and paused the connection
      this.#releaseLent();
    } else {
      this.#abort(new Error('the body was discarded'));
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#releaseLent();
    for (;;) {
      this.#signal.throwIfAborted();
      const chunk = this.#chunks.shift();
      if (chunk) return this.#deliver(chunk);
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isOver) return this.#end();
      this.#news = Promise.withResolvers();
      await this.#news.promise;
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#abort(new Error('the reader left'));
    return { value: undefined, done: true };
  }

  #deliver(chunk: Uint8Array): IteratorResult<Uint8Array, undefined> {
    this.#queuedBytes -= chunk.length;
    this.#deliveredBytes += chunk.length;
    if (this.#expectedBytes !== undefined && this.#deliveredBytes > this.#expectedBytes) {
      const problem = broken('the body is longer than expected');
      this.#abort(problem);
      throw problem;
    }
    if (this.#queuedBytes < maxQueuedBytes && !this.#isLent) this.#controller?.resume();
    return { value: chunk, done: false };
  }

  #end(): IteratorResult<Uint8Array, undefined> {
    if (this.#expectedBytes !== undefined && this.#deliveredBytes !== this.#expectedBytes)
      throw broken('the body is shorter than expected');
    return { value: undefined, done: true };
  }

  /** Resumes the connection if the reader is done with the chunk in its buffer. */
  #releaseLent(): void {
    if (!this.#isLent || this.#chunks.length > 0) return; // the lent chunk is the last: it is still queued
    this.#isLent = false;
    this.#controller?.resume();
  }

  #wake(): void {
    this.#news?.resolve();
    this.#news = undefined;
  }

  /** Frees the connection, or the place in the queue for one, and drops the chunks that have arrived. */
  #abort(reason: unknown): void {
    this.#chunks = [];
    if (this.#isOver) return;
    this.#fail(reason);
    this.#controller?.abort(reason instanceof Error ? reason : new Error('aborted', { cause: reason }));
  }

  #fail(reason: unknown): void {
    if (this.#isOver) return;
    this.#failure = reason;
    this.#finish();
    this.#head.reject(reason);
  }

  #finish(): void {
    this.#isOver = true;
    clearTimeout(this.#headTimer);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#onEnd();
    this.#wake();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(new Error('aborted before the request was sent'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return; // an interim response: the final one follows
    clearTimeout(this.#headTimer);
    this.status = status;
    this.headers = headers;
    this.#head.resolve(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#onBytes(chunk.length);
    if (this.#isDiscarded || chunk.length === 0) return; // undici passes an empty chunk when it resumes
    // The chunk is in the connection's buffer. A short one is copied if the reader does not wait for it, so that
    // the response can end, and free its connection, before the reader takes the chunk.
    this.#isLent = this.#news !== undefined || chunk.length > maxCopyBytes;
    this.#chunks.push(this.#isLent ? chunk : Buffer.from(chunk));
    this.#queuedBytes += chunk.length;
    if (this.#isLent || this.#queuedBytes >= maxQueuedBytes) controller.pause();
    this.#wake();
  }

  onResponseEnd(): void {
    if (!this.#isOver) this.#finish();
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    if (isProblem(error)) this.#fail(error);
    else this.#fail(this.status === 0 ? unavailable(error) : broken(error));
  }
}

function unavailable(cause: unknown): Problem {
  return new Problem('origin_unavailable', undefined, { cause });
}

function broken(cause: unknown): Problem {
  return new Problem('origin_failed', undefined, { cause });
}
