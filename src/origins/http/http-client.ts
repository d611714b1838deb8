import type { IncomingHttpHeaders } from 'node:http';
import { Agent, type buildConnector } from 'undici';
import type { Metrics } from '../../metrics.ts';
import { reusingConnector } from './connector.ts';
import { Exchange } from './exchange.ts';

/** The URL of a GET. In two parts, because the URL class would resolve `..` in the key of an object. */
export interface Target {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
}

/** A response whose head has arrived. The caller has to call `bytes` or `discard`. */
export interface HttpResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;

  /**
   * The body, to be read once, by one reader. A chunk is valid until the next one is requested. Leaving the
   * iteration closes the connection at once. If the connection breaks, the chunks that arrived before come first.
   *
   * @param length bytes that the body must have, if that is known
   * @throws Problem `origin_failed` while iterating: broken, stalled, shorter or longer than `length`
   */
  bytes(length?: number): AsyncIterableIterator<Uint8Array>;

  /** Drops the body. */
  discard(): void;
}

export interface HttpClientOptions {
  /** The label in the metrics. */
  name: string;
  metrics: Metrics;
  /** Connections to one host at most. Further requests wait for one. */
  connections: number;
  /** How long to wait for the head of a response, and for each next chunk of its body. */
  stallTimeoutMs: number;
  /** Opens connections, by `reusingConnector`. Default: to any address. */
  connect?: buildConnector.connector;
}

/** GET requests over kept connections. HTTP/1.1 only: in HTTP/2 a slow reader delays all others on its connection. */
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
      headersTimeout: 0, // does not count the wait for a connection; Exchange has a timer that does
      bodyTimeout: stallTimeoutMs,
      connect,
    });
  }

  /** Requests that hold a connection, or wait for one. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /**
   * Resolves with the head of any response. Redirects are not followed.
   *
   * @throws Problem `origin_unavailable` if there is no response; what `connect` throws; the reason of `signal`
   */
  async get(target: Target, headers: Record<string, string>, signal: AbortSignal): Promise<HttpResponse> {
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
      const response = await exchange.head;
      metrics.originRequests.inc({ origin: name, outcome: `${Math.floor(response.status / 100)}xx` });
      return response;
    } catch (error) {
      metrics.originRequests.inc({ origin: name, outcome: 'none' });
      throw error;
    }
  }

  /** Aborts every request and closes every connection. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}
