import { randomBytes } from 'node:crypto';
import { errors, type JWTVerifyGetKey, jwtVerify, SignJWT } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Changes } from '../db/changes.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import { KeyRing, type KeyState } from './keyring.ts';
import { Revocations } from './revocations.ts';
import type { Vault } from './vault.ts';

/** What a stream token says. Instants in milliseconds since 1970. */
export interface StreamClaims {
  accountId: string;
  externalId: string;
  /** Of the audio that the URL was made for. */
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

const ALGORITHM = 'HS256';
const ISSUER = 'playhead';
const AUDIENCE = 'playhead:stream';
/**
 * Characters. Two ids of 1 KB each, three characters for each of their bytes, in base64url and with the
 * rest around them, come to 8.7 KB.
 */
const TOKEN_LIMIT = 9 * 1024;
/** Characters of verified tokens that are held: some twenty thousand. */
const VERIFIED_SIZE = 16 * 1024 * 1024;

/** Signs, verifies and revokes the tokens of stream URLs: JWTs (RFC 7519) by HMAC with a pinned algorithm. */
export class Tokens {
  readonly #ring: KeyRing;
  readonly #revocations: Revocations;
  readonly #ttlMs: number;
  readonly #now: () => number;
  /** The latest instant that a token was issued at here. */
  #latest = 0;
  readonly #verified = new LRUCache<string, StreamClaims>({
    maxSize: VERIFIED_SIZE,
    sizeCalculation: (_claims, token) => 2 * token.length,
  });

  private constructor(ring: KeyRing, revocations: Revocations, ttlMs: number, now: () => number) {
    this.#ring = ring;
    this.#revocations = revocations;
    this.#ttlMs = ttlMs;
    this.#now = now;
  }

  /** @throws ConfigError, Problem `database_unavailable` */
  static async open({ db, vault, changes, ttlMs, now = Date.now }: TokensParts): Promise<Tokens> {
    const ring = await KeyRing.open({ db, vault, changes });
    const revocations = await Revocations.open({ db, changes, now });
    return new Tokens(ring, revocations, ttlMs, now);
  }

  async sign({ accountId, externalId, etag }: Subject): Promise<{ token: string; expiresAt: Date }> {
    const { kid, key } = this.#ring.active;
    // Later than any revocation, even one of this same millisecond or by a clock that is ahead of ours.
    const issuedAt = Math.max(this.#now(), this.#revocations.cutoff(accountId, externalId) + 1);
    this.#latest = Math.max(this.#latest, issuedAt);
    const expiresAt = issuedAt + this.#ttlMs;
    const token = await new SignJWT({ etag })
      .setProtectedHeader({ alg: ALGORITHM, kid })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      // Encoded, so that an id with a slash in it cannot pass for another recording's.
      .setSubject(`${encodeURIComponent(accountId)}/${encodeURIComponent(externalId)}`)
      // NumericDate may hold a fraction (RFC 7519 §2).
      .setIssuedAt(issuedAt / 1000)
      .setExpirationTime(expiresAt / 1000)
      .setJti(randomBytes(16).toString('base64url'))
      .sign(key);
    return { token, expiresAt: new Date(expiresAt) };
  }

  /**
   * A token that was verified before costs neither a signature nor a query; its expiry, its key and the
   * revocations are looked at each time.
   *
   * @throws Problem `invalid_token`, and `database_unavailable` where its key is not known here yet
   */
  async verify(token: string): Promise<StreamClaims> {
    const held = this.#verified.get(token);
    const claims = held ?? (await this.#authenticate(token));
    const { accountId, externalId, jti, kid, issuedAt, expiresAt } = claims;
    const expired = expiresAt <= this.#now();
    const revoked =
      issuedAt <= this.#revocations.cutoff(accountId, externalId) || this.#revocations.hasToken(jti);
    if (expired || revoked || !this.#ring.has(kid)) {
      this.#verified.delete(token);
      throw new Problem('invalid_token', undefined, {
        cause: expired ? 'expired' : revoked ? 'revoked' : 'retired',
      });
    }
    if (held === undefined) this.#verified.set(token, claims);
    return claims;
  }

  /**
   * One token, or everything issued up to now for a recording or an account; what is issued later works.
   * The other processes follow within the poll of the change feed.
   *
   * @throws Problem `invalid_token` where the token is none of ours or has expired, `database_unavailable`
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
      const { accountId, externalId = '' } = target;
      // A clock that was set back must not let what was issued before slip through.
      const cutoff = Math.max(now, this.#latest);
      const expires_at = cutoff + this.#ttlMs;
      await this.#revocations.add({
        account_id: accountId,
        external_id: externalId,
        jti: '',
        cutoff,
        expires_at,
      });
    }
  }

  /** Newest first. @throws Problem `database_unavailable` */
  keys(): Promise<KeyState[]> {
    return this.#ring.list();
  }

  /** New tokens are signed with a new key; the old ones stay good. @returns its kid */
  rotate(): Promise<string> {
    return this.#ring.rotate();
  }

  /** Every token signed with this key ends. @throws Problem `not_found` */
  retire(kid: string): Promise<void> {
    return this.#ring.retire(kid);
  }

  async #authenticate(token: string): Promise<StreamClaims> {
    if (token.length > TOKEN_LIMIT) throw new Problem('invalid_token', undefined, { cause: 'too long' });
    const findKey: JWTVerifyGetKey = async ({ kid }) => {
      const key = typeof kid === 'string' && (await this.#ring.find(kid));
      if (!key) throw new Problem('invalid_token', undefined, { cause: 'unknown kid' });
      return key;
    };
    try {
      const { payload, protectedHeader } = await jwtVerify<{ etag: string }>(token, findKey, {
        algorithms: [ALGORITHM],
        issuer: ISSUER,
        audience: AUDIENCE,
        requiredClaims: ['sub', 'etag', 'iat', 'exp', 'jti'],
        currentDate: new Date(this.#now()),
      });
      const [accountId, externalId] = payload.sub!.split('/').map(decodeURIComponent);
      const issuedAt = Math.round(payload.iat! * 1000);
      return {
        accountId: accountId!,
        externalId: externalId!,
        etag: payload.etag,
        jti: payload.jti!,
        kid: protectedHeader.kid!,
        issuedAt,
        // A lifetime that was shortened in the settings holds for tokens that were issued before, too:
        // revocations are forgotten by it.
        expiresAt: Math.min(Math.round(payload.exp! * 1000), issuedAt + this.#ttlMs),
      };
    } catch (error) {
      if (error instanceof errors.JOSEError)
        throw new Problem('invalid_token', undefined, { cause: error.code });
      throw error;
    }
  }
}
