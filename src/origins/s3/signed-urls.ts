import { LRUCache } from 'lru-cache';
import { Problem } from '../../errors.ts';
import type { Answer, Target } from '../http/http-client.ts';

/** How long a signed URL is valid, and how long before its end it is no longer used. */
const signedForMs = 3_600_000;
const marginMs = 60_000;
/** How far S3 lets a clock be off, with room for the way there. */
const clockToleranceMs = 600_000;

export interface S3Object {
  readonly Bucket: string;
  readonly Key: string;
}

export interface SignedUrl extends Target {
  /** Whose signature it is. */
  readonly identity: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** Set once S3 has let it pass. */
  proven: boolean;
}

export interface Signer {
  credentials(): Promise<{ accessKeyId: string; sessionToken?: string; expiration?: Date }>;
  /** A URL that is good for `seconds` from `date`. */
  sign(object: S3Object, seconds: number, date: Date): Promise<string>;
}

/** URLs by which objects can be read, each used again while it and the credentials behind it are good. */
export class SignedUrls {
  readonly #signer: Signer;
  readonly #held = new LRUCache<string, SignedUrl>({ max: 10_000 });
  /** What S3's clock was ahead of ours when a URL was refused, in milliseconds. */
  #ahead = 0;

  constructor(signer: Signer) {
    this.#signer = signer;
  }

  /** @throws Problem `origin_unavailable` where there are no credentials */
  async of(object: S3Object): Promise<SignedUrl> {
    const credentials = await this.#signer.credentials().catch((cause) => {
      throw new Problem('origin_unavailable', undefined, { cause });
    });
    const identity = `${credentials.accessKeyId} ${credentials.sessionToken}`;
    const held = this.#held.get(idOf(object));
    if (held?.identity === identity && Date.now() < held.until) return held;

    const date = new Date(Date.now() + this.#ahead);
    const url = await this.#signer.sign(object, signedForMs / 1000, date);
    const { origin } = new URL(url);
    const end = Math.min(
      Date.now() + signedForMs,
      credentials.expiration?.getTime() ?? Number.POSITIVE_INFINITY,
    );
    const signed = { origin, path: url.slice(origin.length), identity, until: end - marginMs, proven: false };
    this.#held.set(idOf(object), signed);
    return signed;
  }

  /**
   * Drops a URL that S3 did not let pass. What passed before was signed with credentials that are gone, and
   * what was signed by a clock that is off gets S3's own time.
   *
   * @returns whether another signature may pass
   */
  drop(object: S3Object, { proven }: SignedUrl, { headers }: Answer): boolean {
    this.#held.delete(idOf(object));
    const ahead = Date.parse(headers.date ?? '') - Date.now();
    const isOff = Math.abs(ahead - this.#ahead) > clockToleranceMs;
    if (isOff) this.#ahead = ahead;
    return proven || isOff;
  }
}

function idOf({ Bucket, Key }: S3Object): string {
  return `${Bucket}/${Key}`;
}
