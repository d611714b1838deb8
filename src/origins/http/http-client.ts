import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type buildConnector, type Dispatcher } from 'undici';
import { isProblem, Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import { reusingConnector } from './connector.ts';

/** Bytes of a body that may wait for whoever reads it; beyond them the connection is paused. */
const windowSize = 128 * 1024;
/** A chunk up to this length is copied where no reader waits for it. */
const copyLimit = 16 * 1024;
/** A body that nobody wants is read to its end when it is this short, since that keeps its connection. */
const discardLimit = 64 * 1024;

/** Where a GET goes. Taken apart already, because putting a URL together would fold `..` in an object's key. */
export interface Target {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
}

/** An answer whose head has come and whose body has yet to be read; one of the two methods has to be called. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;

  /**
   * The body, to be read once, by one reader. Leaving the iteration drops the connection at once. Every
   * chunk that came whole is handed over before a broken connection is reported. A chunk belongs to the
   * reader until it asks for the next one.
   *
   * @param length bytes that the body must have, where that is known
   * @throws Problem `origin_failed` while iterating: broken, stalled, shorter or longer than `length`
   */
  bytes(length?: number): AsyncIterableIterator<Uint8Array>;

  /** Does without the body. */
  discard(): void;
}

export interface HttpClientOptions {
  /** The label in the metrics. */
  name: string;
  metrics: Metrics;
  /** Connections to one host; further requests wait for one. */
  connections: number;
  /** How long to wait for the head of an answer, and for each next piece of its body. */
  stallTimeoutMs: number;
  /** Opens connections, by `reusingConnector`; left out: to wherever. */
  connect?: buildConnector.connector;
}

/** GET requests over kept connections. HTTP/1.1 only: one slow reader of a shared connection would hold up the rest. */
export class HttpClient {
  readonly #agent: Agent;
  readonly #options: HttpClientOptions;
  readonly #underWay = new Set<Exchange>();

  constructor(options: HttpClientOptions) {
    const { connections, stallTimeoutMs, connect = reusingConnector({ allowH2: false }) } = options;
    this.#options = options;
    this.#agent = new Agent({
      connections,
      allowH2: false,
      headersTimeout: 0,
      bodyTimeout: stallTimeoutMs,
      connect,
    });
  }

  /** Requests that hold a connection, or wait for one. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /**
   * Resolves with the head of whatever is answered; redirects are not followed.
   *
   * @throws Problem `origin_unavailable` when no answer comes; whatever `connect` refuses with; the reason of `signal`
   */
  async get(target: Target, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted();
    const { name, metrics, stallTimeoutMs } = this.#options;
    const exchange = new Exchange(
      stallTimeoutMs,
      signal,
      (bytes) => metrics.originBytes.inc({ origin: name }, bytes),
      () => this.#underWay.delete(exchange),
    );
    this.#underWay.add(exchange);
    this.#agent.dispatch({ ...target, method: 'GET', headers }, exchange);
    try {
      const answer = await exchange.head;
      metrics.originRequests.inc({ origin: name, outcome: `${Math.floor(answer.status / 100)}xx` });
      return answer;
    } catch (error) {
      metrics.originRequests.inc({ origin: name, outcome: 'none' });
      throw error;
    }
  }

  /** Breaks what is under way and closes every connection. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/**
 * One request and its answer. A handler on undici's lowest level, with a queue for the chunks: a Readable
 * for each body costs a fifth more CPU for each byte.
 */
class Exchange implements Dispatcher.DispatchHandler, Answer, AsyncIterableIterator<Uint8Array> {
  status = 0;
  headers: IncomingHttpHeaders = {};
  readonly #head = Promise.withResolvers<Answer>();
  readonly #signal: AbortSignal;
  readonly #onAbort = () => this.#leave(this.#signal.reason);
  readonly #onBytes: (bytes: number) => void;
  readonly #onSettled: () => void;
  /** Undici's own timeout for heads does not count the wait for a connection; this one does. */
  readonly #patience: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #chunks: Uint8Array[] = [];
  #waiting = 0;
  #given = 0;
  #length: number | undefined;
  #discarding = false;
  #settled = false;
  #failure: unknown;
  /** Set while the reader waits. */
  #awaited: PromiseWithResolvers<void> | undefined;
  /** The last chunk lies in the connection's own buffer; the reader has it, or is about to get it. */
  #isLent = false;

  constructor(
    stallTimeoutMs: number,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
    onSettled: () => void,
  ) {
    this.#signal = signal;
    this.#onBytes = onBytes;
    this.#onSettled = onSettled;
    this.#patience = setTimeout(() => this.#leave(unavailable('no answer in time')), stallTimeoutMs);
    signal.addEventListener('abort', this.#onAbort);
  }

  get head(): Promise<Answer> {
    return this.#head.promise;
  }

  bytes(length?: number): AsyncIterableIterator<Uint8Array> {
    this.#length = length;
    return this;
  }

  discard(): void {
    this.#discarding = Number(this.headers['content-length']) <= discardLimit;
    if (this.#discarding) {
      this.#chunks = []; // what came along with the head, and may have paused the connection
      this.#takeBack();
    } else this.#leave(new Error('this body is not wanted'));
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#takeBack();
    for (;;) {
      this.#signal.throwIfAborted();
      const chunk = this.#chunks.shift();
      if (chunk) return this.#hand(chunk);
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#settled) return this.#end();
      await this.#news();
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#leave(new Error('the reader left'));
    return { value: undefined, done: true };
  }

  #news(): Promise<void> {
    this.#awaited = Promise.withResolvers();
    return this.#awaited.promise;
  }

  #wake(): void {
    this.#awaited?.resolve();
    this.#awaited = undefined;
  }

  /** The chunk that lies in the connection's own buffer has been dealt with. */
  #takeBack(): void {
    if (!this.#isLent || this.#chunks.length > 0) return;
    this.#isLent = false;
    this.#controller?.resume();
  }

  #hand(chunk: Uint8Array): IteratorResult<Uint8Array, undefined> {
    this.#waiting -= chunk.length;
    this.#given += chunk.length;
    if (this.#length !== undefined && this.#given > this.#length) {
      const problem = broken('the body is longer than was agreed');
      this.#leave(problem);
      throw problem;
    }
    if (this.#waiting < windowSize && !this.#isLent) this.#controller?.resume();
    return { value: chunk, done: false };
  }

  #end(): IteratorResult<Uint8Array, undefined> {
    if (this.#length !== undefined && this.#given !== this.#length)
      throw broken('the body is shorter than was agreed');
    return { value: undefined, done: true };
  }

  /** Frees the connection, or the place in the queue for one, and forgets what has come. */
  #leave(reason: unknown): void {
    this.#chunks = [];
    if (this.#settled) return;
    this.#fail(reason);
    this.#controller?.abort(reason instanceof Error ? reason : new Error('aborted', { cause: reason }));
  }

  #fail(reason: unknown): void {
    if (this.#settled) return;
    this.#failure = reason;
    this.#settle();
    this.#head.reject(reason);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#patience);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#onSettled();
    this.#wake();
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(new Error('left before it began'));
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    clearTimeout(this.#patience);
    this.status = status;
    this.headers = headers;
    this.#head.resolve(this);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#onBytes(chunk.length);
    if (this.#discarding || chunk.length === 0) return; // undici resumes with an empty one
    // Its memory is the connection's, which waits then; what is short may come to its end with no reader.
    this.#isLent = this.#awaited !== undefined || chunk.length > copyLimit;
    this.#chunks.push(this.#isLent ? chunk : Buffer.from(chunk));
    this.#waiting += chunk.length;
    if (this.#isLent || this.#waiting >= windowSize) controller.pause();
    this.#wake();
  }

  onResponseEnd(): void {
    if (!this.#settled) this.#settle();
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
