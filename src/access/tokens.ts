import { randomBytes } from 'node:crypto';
import { errors, type JWTVerifyGetKey, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import { KeyRing, type KeyState } from './keyring.ts';
import { columnsOf, Revocations } from './revocations.ts';
import { TokenLifetimes } from './token-lifetimes.ts';
import type { Vault } from './vault.ts';

/** The claims of a stream token. Instants are milliseconds since 1970. */
export interface StreamClaims {
  accountId: string;
  externalId: string;
  /** ETag of the audio that the URL is for. */
  etag: string;
  jti: string;
  kid: string;
  issuedAt: number;
  expiresAt: number;
}

export type Subject = Pick<StreamClaims, 'accountId' | 'externalId' | 'etag'>;
export type RevocationTarget = { token: string } | { accountId: string; externalId?: string };

export interface TokensParts {
  db: Database;
  vault: Vault;
  changes: Changes;
  ttlMs: number;
  /** Milliseconds since 1970. */
  now?: () => number;
}

const alg = 'HS256';
const issuer = 'playhead';
const audience = 'playhead:stream';
/** The longest token has 8,700 characters: two ids of 1 KB, percent-encoded, and the other claims, in base64url. */
const maxTokenCharacters = 9 * 1024;
/** Verified tokens and their claims in memory: about twenty thousand. */
const maxVerifiedCharacters = 16 * 1024 * 1024;

/** Signs, verifies and revokes the tokens of stream URLs: JWTs (RFC 7519), HMAC with a pinned algorithm. */
export class Tokens {
  readonly #ring: KeyRing;
  readonly #revocations: Revocations;
  readonly #lifetimes: TokenLifetimes;
  readonly #ttlMs: number;
  readonly #now: () => number;
  /** The latest instant at which this process issued a token. */
  #latestIssuedAt = 0;
  readonly #verified = new LRUCache<string, StreamClaims>({
    maxSize: maxVerifiedCharacters,
    // The claims are about as long as the token.
    sizeCalculation: (_claims, token) => 2 * token.length,
  });

  private constructor(
    ring: KeyRing,
    revocations: Revocations,
    lifetimes: TokenLifetimes,
    ttlMs: number,
    now: () => number,
  ) {
    this.#ring = ring;
    this.#revocations = revocations;
    this.#lifetimes = lifetimes;
    this.#ttlMs = ttlMs;
    this.#now = now;
  }

  /** @throws ConfigError, Problem `database_unavailable` */
  static async open({ db, vault, changes, ttlMs, now = Date.now }: TokensParts): Promise<Tokens> {
    const ring = await KeyRing.open({ db, vault, changes });
    const revocations = await Revocations.open({ db, changes, now });
    return new Tokens(ring, revocations, new TokenLifetimes(db, now), ttlMs, now);
  }

  /** @throws Problem `database_unavailable` if this process has not recorded its TTL lately, and cannot now */
  async sign({ accountId, externalId, etag }: Subject): Promise<{ token: string; expiresAt: Date }> {
    await this.#lifetimes.record(this.#ttlMs);
    const { kid, key } = this.#ring.active;
    // Later than every revocation, even one in this millisecond or by a process whose clock is ahead.
    const issuedAt = Math.max(this.#now(), this.#revocations.cutoff(accountId, externalId) + 1);
    this.#latestIssuedAt = Math.max(this.#latestIssuedAt, issuedAt);
    const expiresAt = issuedAt + this.#ttlMs;
    const token = await new SignJWT({ etag })
      .setProtectedHeader({ alg, kid })
      .setIssuer(issuer)
      .setAudience(audience)
      // Encoded, so that an id with a slash cannot name another recording.
      .setSubject(`${encodeURIComponent(accountId)}/${encodeURIComponent(externalId)}`)
      // NumericDate may hold a fraction (RFC 7519 §2).
      .setIssuedAt(issuedAt / 1000)
      .setExpirationTime(expiresAt / 1000)
      .setJti(randomBytes(16).toString('base64url'))
      .sign(key);
    return { token, expiresAt: new Date(expiresAt) };
  }

  /**
   * Verifies a token. If it was verified before, that costs neither cryptography nor a query. Its expiry, its key
   * and its revocation are checked every time.
   *
   * @throws Problem `invalid_token`; `database_unavailable` if this process does not know the token's key and the
   *   database cannot be reached
   */
  async verify(token: string): Promise<StreamClaims> {
    const known = this.#verified.get(token);
    const claims = known ?? (await this.#authenticate(token));
    const { accountId, externalId, jti, kid, issuedAt, expiresAt } = claims;
    // If the TTL was shortened, it applies to older tokens too.
    const isExpired = Math.min(expiresAt, issuedAt + this.#ttlMs) <= this.#now();
    const isRevoked =
      issuedAt <= this.#revocations.cutoff(accountId, externalId) || this.#revocations.isTokenRevoked(jti);
    if (isExpired || isRevoked || !this.#ring.has(kid)) {
      this.#verified.delete(token);
      throw new Problem('invalid_token', undefined, {
        cause: isExpired ? 'expired' : isRevoked ? 'revoked' : 'retired',
      });
    }
    if (known === undefined) this.#verified.set(token, claims);
    return claims;
  }

  /**
   * Revokes one token, or every token issued until now for a recording or an account. Tokens issued later are
   * valid. In the other processes it takes effect at their next poll of the change feed. It lasts as long as any
   * token that it ends, whichever process issued the token.
   *
   * @throws Problem `invalid_token` if the token is not ours or has expired, `database_unavailable`
   */
  async revoke(target: RevocationTarget): Promise<void> {
    const now = this.#now();
    if ('token' in target) {
      const { jti, expiresAt } = await this.#authenticate(target.token);
      await this.#revocations.add({
        account_id: '',
        external_id: '',
        jti,
        cutoff: now,
        expires_at: expiresAt,
      });
    } else {
      // Covers every token issued before, even if the clock was set back since.
      const cutoff = Math.max(now, this.#latestIssuedAt);
      const expires_at = cutoff + Math.max(this.#ttlMs, await this.#lifetimes.longestMs());
      await this.#revocations.add({ ...columnsOf(target), cutoff, expires_at });
    }
  }

  /** Newest first. @throws Problem `database_unavailable` */
  keys(): Promise<KeyState[]> {
    return this.#ring.list();
  }

  /** Signs new tokens with a new key. Old tokens stay valid. @returns its kid */
  rotate(): Promise<string> {
    return this.#ring.rotate();
  }

  /** Makes every token signed with this key invalid. @throws Problem `not_found` */
  retire(kid: string): Promise<void> {
    return this.#ring.retire(kid);
  }

  async #authenticate(token: string): Promise<StreamClaims> {
    if (token.length > maxTokenCharacters)
      throw new Problem('invalid_token', undefined, { cause: 'too long' });
    const findKey: JWTVerifyGetKey = async ({ kid }) => {
      const key = typeof kid === 'string' && (await this.#ring.find(kid));
      if (!key) throw new Problem('invalid_token', undefined, { cause: 'unknown kid' });
      return key;
    };
    try {
      const { payload, protectedHeader } = await jwtVerify<{ etag: string }>(token, findKey, {
        algorithms: [alg],
        issuer,
        audience,
        requiredClaims: ['sub', 'etag', 'iat', 'exp', 'jti'],
        currentDate: new Date(this.#now()),
      });
      const [accountId, externalId] = idsOf(payload.sub!);
      return {
        accountId,
        externalId,
        etag: payload.etag,
        jti: payload.jti!,
        kid: protectedHeader.kid!,
        issuedAt: Math.round(payload.iat! * 1000),
        expiresAt: Math.round(payload.exp! * 1000),
      };
    } catch (error) {
      if (error instanceof errors.JOSEError)
        throw new Problem('invalid_token', undefined, { cause: error.code });
      throw error;
    }
  }
}

/** @throws Problem `invalid_token` */
function idsOf(subject: string): [accountId: string, externalId: string] {
  const [accountId, externalId, ...rest] = subject.split('/');
  try {
    if (accountId && externalId && rest.length === 0)
      return [decodeURIComponent(accountId), decodeURIComponent(externalId)];
  } catch {
    // Not percent-encoded text: the error below.
  }
  throw new Problem('invalid_token', undefined, { cause: 'odd sub' });
}
