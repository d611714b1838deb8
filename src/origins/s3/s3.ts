import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { isProblem, Problem } from '../../errors.ts';
import type { Metrics } from '../../metrics.ts';
import { HttpClient } from '../http/http-client.ts';
import { isStrong, rangeBody, rangeHeaders, retry, statusProblem } from '../http/ranged.ts';
import type { ByteRange, Representation, Store, Version } from '../origin.ts';
import { ChunkReader } from './chunk-reader.ts';
import { type S3Object, SignedUrls } from './signed-urls.ts';

/** The smallest part that S3 allows. It allows 10,000 parts, so a recording can have up to 48 GiB. */
const partBytes = 5 * 1024 * 1024;

export interface S3Options {
  /** The bucket of every key. Without it, a key is `bucket/key`, in any bucket. */
  bucket?: string;
  /** The folder in the bucket that every key is in. */
  prefix?: string;
  endpoint?: string;
  region?: string;
  forcePathStyle: boolean;
  stallTimeoutMs: number;
  metrics: Metrics;
}

/**
 * Recordings as objects in S3, or in a server with the same API. All buckets are in one region.
 *
 * The SDK finds the credentials, writes, looks up and removes. Bytes are read without it, by ranged GETs of a
 * signed URL, at a seventh of the SDK's CPU. One URL serves every range of its object.
 */
export class S3Store implements Store {
  readonly #client: S3Client;
  readonly #http: HttpClient;
  readonly #options: S3Options;
  readonly #urls: SignedUrls;

  constructor(options: S3Options) {
    const { endpoint, region, forcePathStyle, stallTimeoutMs, metrics } = options;
    // Without the setting, the region is looked up once, as the SDK does: in the environment, then in its files.
    const foundRegion = region || new S3Client({}).config.region().catch(() => 'us-east-1');
    this.#options = options;
    this.#client = new S3Client({
      ...(endpoint ? { endpoint } : {}),
      region: async () => foundRegion,
      forcePathStyle,
      requestHandler: { connectionTimeout: stallTimeoutMs, socketTimeout: stallTimeoutMs },
      // The signature covers the content already, and some S3 servers do not know the newer checksums.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
    this.#urls = new SignedUrls({
      credentials: () => this.#client.config.credentials(),
      sign: (object, expiresIn, signingDate) =>
        getSignedUrl(this.#client, new GetObjectCommand(object), { expiresIn, signingDate }),
    });
    this.#http = new HttpClient({ name: 's3', metrics, connections: 50, stallTimeoutMs });
  }

  /** Reads that hold a connection, or wait for one. */
  get underWay(): number {
    return this.#http.underWay;
  }

  async stat(key: string, signal?: AbortSignal): Promise<Representation> {
    const command = new HeadObjectCommand(this.#locate(key));
    // The SDK makes three attempts. If the server is silent, the limit ends them before the third.
    const limit = AbortSignal.timeout(2 * this.#options.stallTimeoutMs);
    const abortSignal = signal ? AbortSignal.any([signal, limit]) : limit;
    const head = await this.#result(this.#client.send(command, { abortSignal }), signal);
    const { ContentLength: size, ETag: etag, LastModified: lastModified } = head;
    if (size === undefined || !isStrong(etag) || !lastModified) {
      throw new Problem('origin_failed', undefined, { cause: 'HEAD has no size, strong ETag or time' });
    }
    return { size, etag, lastModified };
  }

  async read(
    key: string,
    range: ByteRange,
    { etag }: Version,
    signal: AbortSignal,
  ): Promise<AsyncIterable<Uint8Array>> {
    signal.throwIfAborted();
    const object = this.#locate(key);
    const headers = rangeHeaders(range, etag);
    const attempt = async () => {
      const url = await this.#urls.of(object);
      const response = await this.#http.get(url, headers, signal);
      if (response.status === 403 && this.#urls.drop(object, url, response)) {
        response.discard();
        // `retry` makes another attempt, with a new URL.
        throw new Problem('origin_unavailable', undefined, { cause: 'S3 rejected the signed URL' });
      }
      const body = rangeBody(response, range, etag);
      url.isProven = true;
      return body;
    };
    return retry(attempt, this.#options.stallTimeoutMs, signal);
  }

  /** The object appears whole, with the response to the last request of the upload. */
  async write(key: string, bytes: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<Representation> {
    const reader = new ChunkReader(bytes);
    const first = await reader.fill(Buffer.allocUnsafeSlow(partBytes));
    try {
      if (first.length < partBytes) await this.#put(key, first, signal);
      else await this.#upload(key, first, reader, signal);
    } finally {
      await reader.close();
    }
    const stored = await this.stat(key, signal);
    if (stored.size === reader.bytesRead) return stored;
    throw new Problem('origin_failed', undefined, {
      cause: `${stored.size} of ${reader.bytesRead} bytes are stored`,
    });
  }

  /** In a bucket with versioning, a deletion only hides the object, so every version is deleted, too. */
  async remove(key: string): Promise<void> {
    const { Bucket, Key } = this.#locate(key);
    for await (const UploadId of this.#unfinished(Bucket, Key)) await this.#abort(Bucket, Key, UploadId);
    const { DeleteMarker } = await this.#result(this.#client.send(new DeleteObjectCommand({ Bucket, Key })));
    if (!DeleteMarker) return;
    for await (const VersionId of this.#versions(Bucket, Key)) {
      await this.#result(this.#client.send(new DeleteObjectCommand({ Bucket, Key, VersionId })));
    }
  }

  /** Aborts every read and closes every connection. */
  async close(): Promise<void> {
    this.#client.destroy();
    await this.#http.close();
  }

  async #put(key: string, Body: Buffer, abortSignal?: AbortSignal): Promise<void> {
    const Metadata = { write: randomUUID() };
    const command = new PutObjectCommand({ ...this.#locate(key), Body, Metadata, IfNoneMatch: '*' });
    const sent = this.#client.send(command, { abortSignal });
    await this.#result(sent, abortSignal).catch(this.#unlessWritten(key, Metadata.write));
  }

  /**
   * Handles an error that the write itself may have caused. If a response is lost, the SDK repeats the request,
   * and S3 reports that the object exists already (412) or that the upload does not exist any more (404). The
   * write has succeeded if the object has its id.
   */
  #unlessWritten(key: string, writeId: string): (error: unknown) => Promise<void> {
    return async (error) => {
      const isTaken = isProblem(error, 'version_changed'); // 412
      if (!isTaken && !isProblem(error, 'not_found')) throw error;
      const there = await this.#client.send(new HeadObjectCommand(this.#locate(key))).catch(() => undefined);
      if (there?.Metadata?.write === writeId) return;
      throw isTaken ? new Problem('conflict', undefined, { cause: error }) : error;
    };
  }

  async #upload(key: string, first: Buffer, reader: ChunkReader, abortSignal?: AbortSignal): Promise<void> {
    const object = this.#locate(key);
    const send = { abortSignal };
    const Metadata = { write: randomUUID() };
    const created = this.#client.send(new CreateMultipartUploadCommand({ ...object, Metadata }), send);
    const { UploadId } = await this.#result(created, abortSignal);
    const upload = async (PartNumber: number, Body: Buffer): Promise<CompletedPart> => {
      const command = new UploadPartCommand({ ...object, UploadId, PartNumber, Body });
      const { ETag } = await this.#result(this.#client.send(command, send), abortSignal);
      return { PartNumber, ETag };
    };
    const buffers = [first, Buffer.allocUnsafeSlow(partBytes), Buffer.allocUnsafeSlow(partBytes)];
    const uploads: Promise<CompletedPart>[] = [];
    try {
      for (let body = first; body.length > 0; ) {
        const started = upload(uploads.length + 1, body);
        started.catch(() => {}); // awaited below, before its buffer is used again or at the end
        uploads.push(started);
        await uploads.at(-buffers.length); // the part that was last in the next buffer
        body = await reader.fill(buffers[uploads.length % buffers.length]!);
      }
      const Parts = await Promise.all(uploads);
      const whole = { ...object, UploadId, MultipartUpload: { Parts }, IfNoneMatch: '*' };
      const completed = this.#client.send(new CompleteMultipartUploadCommand(whole), send);
      await this.#result(completed, abortSignal).catch(this.#unlessWritten(key, Metadata.write));
    } catch (error) {
      await Promise.allSettled(uploads);
      await this.#abort(object.Bucket, object.Key, UploadId).catch(() => {}); // if it stays, `remove` aborts it
      throw error;
    }
  }

  async #abort(Bucket: string, Key: string, UploadId: string | undefined): Promise<void> {
    const command = new AbortMultipartUploadCommand({ Bucket, Key, UploadId });
    await this.#result(this.#client.send(command)).catch((error) => {
      if (!isProblem(error, 'not_found')) throw error;
    });
  }

  /** Uploads of exactly this key that were neither completed nor aborted. */
  async *#unfinished(Bucket: string, Key: string): AsyncGenerator<string | undefined> {
    let page: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (page) {
      const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
        Bucket,
        Prefix: Key,
        ...page,
      });
      const found = await this.#result(this.#client.send(command));
      for (const upload of found.Uploads ?? []) if (upload.Key === Key) yield upload.UploadId;
      page = found.IsTruncated
        ? { KeyMarker: found.NextKeyMarker, UploadIdMarker: found.NextUploadIdMarker }
        : undefined;
    }
  }

  /** Versions and delete markers of exactly this key. */
  async *#versions(Bucket: string, Key: string): AsyncGenerator<string | undefined> {
    let page: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {};
    while (page) {
      const command: ListObjectVersionsCommand = new ListObjectVersionsCommand({
        Bucket,
        Prefix: Key,
        ...page,
      });
      const found = await this.#result(this.#client.send(command));
      for (const version of [...(found.Versions ?? []), ...(found.DeleteMarkers ?? [])]) {
        if (version.Key === Key) yield version.VersionId;
      }
      page = found.IsTruncated
        ? { KeyMarker: found.NextKeyMarker, VersionIdMarker: found.NextVersionIdMarker }
        : undefined;
    }
  }

  #locate(key: string): S3Object {
    const { bucket, prefix = '' } = this.#options;
    const folder = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
    const [Bucket, Key] = bucket ? [bucket, folder + key] : (/^([^/]*)\/(.*)$/s.exec(key)?.slice(1) ?? []);
    // The name of a bucket becomes part of the host, so only the characters that S3 allows may pass.
    const isSafe = Bucket && /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(Bucket) && Key?.isWellFormed();
    if (!isSafe || !Key || Buffer.byteLength(Key) > 1024) throw new Problem('not_found');
    return { Bucket, Key };
  }

  /** Counts the outcome of a request of the SDK, and throws its error as a Problem. */
  async #result<T>(sent: Promise<T>, signal?: AbortSignal): Promise<T> {
    const count = (outcome: string) => this.#options.metrics.originRequests.inc({ origin: 's3', outcome });
    try {
      const output = await sent;
      count('2xx');
      return output;
    } catch (error) {
      signal?.throwIfAborted();
      const { name, message, $metadata } = error as S3ServiceException;
      const status = $metadata?.httpStatusCode;
      count(status ? `${Math.floor(status / 100)}xx` : 'none');
      const cause = `${name}: ${message}`; // not the error itself: it contains the signed request
      if (status === 507 || name === 'QuotaExceeded') throw new Problem('storage_full', undefined, { cause });
      throw new Problem(status ? statusProblem(status).code : 'origin_unavailable', undefined, { cause });
    }
  }
}
