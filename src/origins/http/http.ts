import { Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import type { ByteRange, Origin, Representation, Version } from '../origin.ts';
import { createConnector, type Resolve } from './dial.ts';
import { type Answer, HttpClient } from './http-client.ts';
import { contentRange, isPlain, isStrong, rangeBody, rangeHeaders, retry, statusProblem } from './ranged.ts';

const redirectLimit = 5;
const redirects = new Set([301, 302, 303, 307, 308]);

/** `basic` is `user:password`, in the clear. */
export type Credential = { readonly basic: string } | { readonly bearer: string };

export interface HttpOptions {
  /** Hosts that may be read by plain http, on any port and at any address: `pbx.example:8080`, as a URL has them. */
  allowedHosts: readonly string[];
  /** By host, as a URL has it. */
  credentials: ReadonlyMap<string, Credential>;
  /** Most that `fetchWhole` takes, in bytes, and the longest it may take. */
  maxBytes: number;
  fetchTimeoutMs: number;
  stallTimeoutMs: number;
  metrics: Metrics;
  /** How host names are looked up; left out: as the system does. */
  resolve?: Resolve;
}

/**
 * Recordings at a vendor, under keys that are their URLs. The URLs come from whoever calls the API, so
 * each, and each that it redirects to, must be https, on the usual port, without credentials, and at a
 * public address; where not, its host must be allowed by name.
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
    const connect = createConnector({ allowedHosts: this.#allowedHosts, timeoutMs: stallTimeoutMs, resolve });
    this.#http = new HttpClient({ name: 'http', metrics, connections: 50, stallTimeoutMs, connect });
  }

  /** Reads that hold a connection, or wait for one. */
  get underWay(): number {
    return this.#http.underWay;
  }

  /**
   * Asks for the first byte instead of for HEAD: signed URLs often refuse HEAD, and only an answer of 206
   * proves that ranges are served.
   *
   * @throws Problem `origin_failed` also where ranges or a strong validator are missing; such a source can
   *   be had by `fetchWhole`
   */
  async stat(url: string, signal: AbortSignal = new AbortController().signal): Promise<Representation> {
    const firstByte = { first: 0, last: 0 };
    const answer = await this.#get(url, rangeHeaders(firstByte), signal);
    answer.discard();
    const { status, headers } = answer;
    if (status >= 300) throw answered(answer);
    const sent = contentRange(answer);
    if (status !== 206 || sent?.size === undefined || sent.last !== 0 || !isPlain(answer)) {
      throw unproxied('serves no byte ranges');
    }
    if (!isStrong(headers.etag)) throw unproxied('has no strong ETag');
    // RFC 9110 §8.8.2.1: nothing changes after the answer that carries it was sent.
    const modified =
      Date.parse(headers['last-modified'] ?? '') || Date.parse(headers.date ?? '') || Date.now();
    return { size: sent.size, etag: headers.etag, lastModified: new Date(modified) };
  }

  /** @throws Problem `source_refused` besides what every origin throws */
  async read(
    url: string,
    range: ByteRange,
    { etag }: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    const headers = rangeHeaders(range, etag);
    const attempt = async () => rangeBody(await this.#followed(url, headers, signal), range, etag);
    return retry(attempt, this.#options.stallTimeoutMs, signal);
  }

  /**
   * The whole of what a URL gives, whether or not it serves ranges. The iteration yields all of it or throws.
   *
   * @throws Problem `source_refused`, `not_found`, `too_large`, `origin_unavailable`, `origin_failed`, the
   *   last three while iterating too
   */
  async fetchWhole(url: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const until = performance.now() + this.#options.fetchTimeoutMs;
    const answer = await this.#get(url, { 'accept-encoding': 'identity' }, signal);
    const problem = this.#complaint(answer);
    if (!problem) return this.#limited(answer.bytes(lengthOf(answer)), until);
    answer.discard();
    throw problem;
  }

  /** Breaks the reads under way and closes every connection. */
  close(): Promise<void> {
    return this.#http.close();
  }

  #complaint(answer: Answer): Problem | undefined {
    if (answer.status !== 200) return answered(answer);
    if (!isPlain(answer))
      return new Problem('origin_failed', 'The source is sent encoded, though it was asked for as it is.');
    const length = lengthOf(answer);
    if (length !== undefined && length > this.#options.maxBytes) return new Problem('too_large');
    // A body that ends where the connection ends may have been cut anywhere (RFC 9112 §8).
    if (length === undefined && !/chunked$/i.test(answer.headers['transfer-encoding'] ?? '')) {
      return new Problem('origin_failed', 'The source does not say where it ends.');
    }
    return undefined;
  }

  async *#limited(body: AsyncIterable<Uint8Array>, until: number): AsyncGenerator<Uint8Array> {
    let taken = 0;
    for await (const chunk of body) {
      taken += chunk.length;
      if (taken > this.#options.maxBytes) throw new Problem('too_large');
      if (performance.now() > until)
        throw new Problem('origin_failed', 'The source took too long to be read.');
      yield chunk;
    }
  }

  #get(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    const attempt = async () => {
      const answer = await this.#followed(url, headers, signal);
      const problem = answered(answer);
      if (problem.code !== 'origin_unavailable') return answer;
      answer.discard();
      throw problem;
    };
    return retry(attempt, this.#options.stallTimeoutMs, signal);
  }

  /** Follows redirects. Credentials stay behind once another origin is reached, also on the way back. */
  async #followed(url: string, headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    let target = this.#admit(url);
    let authorization = this.#authorization(target.host);
    for (let hops = 0; hops <= redirectLimit; hops++) {
      const { origin, pathname, search } = target;
      const answer = await this.#http.get(
        { origin, path: pathname + search },
        { ...headers, ...authorization },
        signal,
      );
      if (!redirects.has(answer.status)) return answer;
      answer.discard();
      target = this.#admit(URL.parse(answer.headers.location ?? '', target)?.href ?? '');
      if (target.origin !== origin) authorization = {};
    }
    throw new Problem('source_refused', 'The source redirects too many times.');
  }

  /** The WHATWG parser turns every spelling of an IPv4 address (decimal, octal, hexadecimal) into the usual one. */
  #admit(text: string): URL {
    const url = URL.parse(text);
    if (!url || !/^https?:$/.test(url.protocol)) throw refused('is no http or https URL');
    if (url.username || url.password) throw refused('has credentials in its URL');
    if (this.#allowedHosts.has(url.host)) return url;
    if (url.protocol !== 'https:') throw refused('is not https, and its host is not allowed by name');
    if (url.port !== '') throw refused('is not on port 443, and its host is not allowed by name');
    return url;
  }

  #authorization(host: string): Record<string, string> {
    const credential = this.#credentials.get(host);
    if (!credential) return {};
    if ('bearer' in credential) return { authorization: `Bearer ${credential.bearer}` };
    return { authorization: `Basic ${Buffer.from(credential.basic).toString('base64')}` };
  }
}

function lengthOf({ headers }: Answer): number | undefined {
  return /^\d{1,15}$/.test(headers['content-length'] ?? '') ? Number(headers['content-length']) : undefined;
}

function answered({ status }: Answer): Problem {
  return new Problem(statusProblem(status).code, `The source answered ${status}.`);
}

function refused(why: string): Problem {
  return new Problem('source_refused', `The source ${why}.`);
}

function unproxied(why: string): Problem {
  return new Problem('origin_failed', `The source ${why}, so it cannot be played from where it is.`);
}
