import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import type { ByteRange, Origin, Representation, Version } from '../origin.ts';
import { publicConnector, type Resolve } from './dial.ts';
import { HttpClient, type HttpResponse } from './http-client.ts';
import { contentRange, isPlain, isStrong, rangeBody, rangeHeaders, retry, statusProblem } from './ranged.ts';

const maxRedirects = 5;
const redirects = new Set([301, 302, 303, 307, 308]);

/** `basic` is `user:password`, not encoded. */
export type Credential = { readonly basic: string } | { readonly bearer: string };

export interface HttpOptions {
  /** Hosts that may be read by plain http, on any port and at any address. Each is as in a URL: `pbx.example:8080`. */
  allowedHosts: readonly string[];
  /** By host, as in a URL. */
  credentials: ReadonlyMap<string, Credential>;
  /** `maxBytes` and `fetchTimeoutMs` are limits of `fetchWhole`. */
  maxBytes: number;
  fetchTimeoutMs: number;
  stallTimeoutMs: number;
  metrics: Metrics;
  /** Looks host names up. Default: as the system does. */
  resolve?: Resolve;
}

/**
 * Recordings at a vendor. The key of a recording is its URL. URLs come from callers of the API, so each of them is
 * checked, and each that it redirects to. It must not contain credentials. It must be https, on port 443 and at a
 * public address, unless its host is allowed by name.
 */
export class HttpOrigin implements Origin {
  readonly #options: HttpOptions;
  readonly #allowedHosts: ReadonlySet<string>;
  readonly #credentials: ReadonlyMap<string, Credential>;
  readonly #http: HttpClient;

  constructor(options: HttpOptions) {
    const { stallTimeoutMs, metrics, resolve } = options;
    this.#options = options;
    this.#credentials = new Map([...options.credentials].map(([host, one]) => [host.toLowerCase(), one]));
    this.#allowedHosts = new Set(options.allowedHosts.map((host) => host.toLowerCase()));
    const connect = publicConnector({ allowedHosts: this.#allowedHosts, timeoutMs: stallTimeoutMs, resolve });
    this.#http = new HttpClient({ name: 'http', metrics, connections: 50, stallTimeoutMs, connect });
  }

  /** Reads that hold a connection, or wait for one. */
  get underWay(): number {
    return this.#http.underWay;
  }

  /**
   * Requests the first byte instead of HEAD: signed URLs often do not allow HEAD, and only a 206 proves that
   * the server sends ranges.
   *
   * @throws Problem `source_refused`, and what every origin throws. `origin_failed` also means that the server
   * sends no ranges or no strong validator: `fetchWhole` can still read such a source.
   */
  async stat(url: string, signal: AbortSignal = new AbortController().signal): Promise<Representation> {
    const firstByte = { first: 0, last: 0 };
    const response = await this.#get(url, rangeHeaders(firstByte), signal);
    response.discard();
    const { status, headers } = response;
    if (status >= 300) throw unexpected(response);
    const sent = contentRange(response);
    if (status !== 206 || sent?.size === undefined || sent.last !== 0 || !isPlain(response)) {
      throw unplayable('sends no byte ranges');
    }
    if (!isStrong(headers.etag)) throw unplayable('has no strong ETag');
    // RFC 9110 §8.8.2.1: a representation was not modified after the response that carries it.
    const modified =
      Date.parse(headers['last-modified'] ?? '') || Date.parse(headers.date ?? '') || Date.now();
    return { size: sent.size, etag: headers.etag, lastModified: new Date(modified) };
  }

  /** @throws Problem `source_refused`, and what every origin throws */
  async read(
    url: string,
    range: ByteRange,
    { etag }: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const headers = rangeHeaders(range, etag);
    const attempt = async () => rangeBody(await this.#follow(url, headers, signal), range, etag);
    return retry(attempt, this.#options.stallTimeoutMs, signal);
  }

  /**
   * The whole body of a URL, even if its server sends no ranges. The iteration yields all of it or throws.
   *
   * @throws Problem `source_refused`, `not_found`, `origin_unavailable`, `origin_failed`, `too_large`; the
   * last two also while iterating
   */
  async fetchWhole(url: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const deadlineMs = performance.now() + this.#options.fetchTimeoutMs;
    const response = await this.#get(url, { 'accept-encoding': 'identity' }, signal);
    const problem = this.#problemWith(response);
    if (!problem) return this.#limited(response.bytes(lengthOf(response)), deadlineMs);
    response.discard();
    throw problem;
  }

  /** Aborts every read and closes every connection. */
  close(): Promise<void> {
    return this.#http.close();
  }

  #problemWith(response: HttpResponse): Problem | undefined {
    if (response.status !== 200) return unexpected(response);
    if (!isPlain(response))
      return new Problem(
        'origin_failed',
        'The source was sent with a Content-Encoding, which was not accepted.',
      );
    const length = lengthOf(response);
    if (length !== undefined && length > this.#options.maxBytes) return new Problem('too_large');
    // If only the end of the connection ends a body, an incomplete one looks whole (RFC 9112 §8).
    if (length === undefined && !/chunked$/i.test(response.headers['transfer-encoding'] ?? '')) {
      return new Problem(
        'origin_failed',
        'The source was sent with neither Content-Length nor chunked coding, so it may be incomplete.',
      );
    }
    return undefined;
  }

  async *#limited(body: AsyncIterable<Uint8Array>, deadlineMs: number): AsyncGenerator<Uint8Array> {
    let size = 0;
    for await (const chunk of body) {
      size += chunk.length;
      if (size > this.#options.maxBytes) throw new Problem('too_large');
      if (performance.now() > deadlineMs)
        throw new Problem('origin_failed', 'Reading the source took too long.');
      yield chunk;
    }
  }

  #get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<HttpResponse> {
    const attempt = async () => {
      const response = await this.#follow(url, headers, signal);
      const problem = unexpected(response);
      // The caller judges every other status, even 200. Only this one may pass, so `retry` makes another attempt.
      if (problem.code !== 'origin_unavailable') return response;
      response.discard();
      throw problem;
    };
    return retry(attempt, this.#options.stallTimeoutMs, signal);
  }

  /** Follows redirects. After a redirect to another origin no credentials are sent, even if a later one leads back. */
  async #follow(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<HttpResponse> {
    let target = this.#admit(url);
    let authorization = this.#authorization(target.host);
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const { origin, pathname, search } = target;
      const response = await this.#http.get(
        { origin, path: pathname + search },
        { ...headers, ...authorization },
        signal,
      );
      if (!redirects.has(response.status)) return response;
      response.discard();
      target = this.#admit(URL.parse(response.headers.location ?? '', target)?.href ?? '');
      if (target.origin !== origin) authorization = {};
    }
    throw new Problem('source_refused', 'The source redirects too often.');
  }

  /**
   * Parses and checks a URL. The WHATWG parser normalizes every spelling of an IPv4 address: decimal, octal,
   * hexadecimal. `publicConnector` checks the address.
   */
  #admit(text: string): URL {
    const url = URL.parse(text);
    if (!url || !/^https?:$/.test(url.protocol)) throw denied('is not an http or https URL');
    if (url.username || url.password) throw denied('has credentials in its URL');
    if (this.#allowedHosts.has(url.host)) return url;
    if (url.protocol !== 'https:') throw denied('is not https, and its host is not in PLAYHEAD_SOURCE_HOSTS');
    if (url.port !== '') throw denied('is not on port 443, and its host is not in PLAYHEAD_SOURCE_HOSTS');
    return url;
  }

  #authorization(host: string): Record<string, string> {
    const credential = this.#credentials.get(host);
    if (!credential) return {};
    if ('bearer' in credential) return { authorization: `Bearer ${credential.bearer}` };
    return { authorization: `Basic ${Buffer.from(credential.basic).toString('base64')}` };
  }
}

function lengthOf({ headers }: HttpResponse): number | undefined {
  return /^\d{1,15}$/.test(headers['content-length'] ?? '') ? Number(headers['content-length']) : undefined;
}

function unexpected({ status }: HttpResponse): Problem {
  return new Problem(statusProblem(status).code, `The source responded with status ${status}.`);
}

function denied(why: string): Problem {
  return new Problem('source_refused', `The source ${why}.`);
}

function unplayable(why: string): Problem {
  return new Problem('origin_failed', `The source ${why}, so it can only be copied.`);
}
