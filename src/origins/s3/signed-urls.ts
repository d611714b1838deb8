import { LRUCache } from 'lru-cache';
import { Problem } from '../../errors.ts';
import type { HttpResponse, Target } from '../http/http-client.ts';

/** How long a signed URL is valid. */
const validityMs = 3_600_000;
/** A URL is not used in the last minute of its validity. */
const marginMs = 60_000;
/** A clock that is this far off is corrected. S3 tolerates 15 minutes. */
const clockToleranceMs = 600_000;

export interface S3Object {
  readonly Bucket: string;
  readonly Key: string;
}

export interface SignedUrl extends Target {
  /** The credentials that signed it. */
  readonly identity: string;
  /** The URL is not used after this time since the epoch. */
  readonly usedUntilMs: number;
  /** Set once S3 has accepted it. */
  isProven: boolean;
}

export interface Signer {
  credentials(): Promise<{ accessKeyId: string; sessionToken?: string; expiration?: Date }>;
  /** A URL that is valid for `seconds` from `date`. */
  sign(object: S3Object, seconds: number, date: Date): Promise<string>;
}

/** URLs to read objects by. Each is used until shortly before it expires, or until the credentials change. */
export class SignedUrls {
  readonly #signer: Signer;
  readonly #held = new LRUCache<string, SignedUrl>({ max: 10_000 });
  /** How far S3's clock is ahead of ours. Stays 0 until S3 rejects a URL. */
  #aheadMs = 0;

  constructor(signer: Signer) {
    this.#signer = signer;
  }

  /** @throws Problem `origin_unavailable` if there are no credentials */
  async of(object: S3Object): Promise<SignedUrl> {
    const credentials = await this.#signer.credentials().catch((cause) => {
      throw new Problem('origin_unavailable', undefined, { cause });
    });
    const identity = `${credentials.accessKeyId} ${credentials.sessionToken}`;
    const held = this.#held.get(idOf(object));
    if (held?.identity === identity && Date.now() < held.usedUntilMs) return held;

    const date = new Date(Date.now() + this.#aheadMs);
    const url = await this.#signer.sign(object, validityMs / 1000, date);
    const { origin } = new URL(url);
    const expiresAtMs = Math.min(
      Date.now() + validityMs,
      credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY,
    );
    const signed = {
      origin,
      path: url.slice(origin.length),
      identity,
      usedUntilMs: expiresAtMs - marginMs,
      isProven: false,
    };
    this.#held.set(idOf(object), signed);
    return signed;
  }

  /**
   * Drops a URL that S3 rejected. If our clock is off, the next URLs are signed by S3's clock.
   *
   * @returns whether S3 may accept a new URL: if it accepted this one before, or if our clock was off
   */
  drop(object: S3Object, { isProven }: SignedUrl, { headers }: HttpResponse): boolean {
    this.#held.delete(idOf(object));
    const aheadMs = Date.parse(headers.date ?? '') - Date.now();
    // False if the response has no Date: `aheadMs` is NaN then.
    const isOff = Math.abs(aheadMs - this.#aheadMs) > clockToleranceMs;
    if (isOff) this.#aheadMs = aheadMs;
    return isProven || isOff;
  }
}

function idOf({ Bucket, Key }: S3Object): string {
  return `${Bucket}/${Key}`;
}
