import { hash, randomBytes } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';

/** 32 bytes in base64url. */
const pattern = /^[A-Za-z0-9_-]{43}$/;
/** RFC 7518 §4.5 (the key is used directly) and §5.3 (AES-256-GCM). */
const header = { alg: 'dir', enc: 'A256GCM' };
const algorithms = { keyManagementAlgorithms: [header.alg], contentEncryptionAlgorithms: [header.enc] };

/** Every text begins with this that was sealed by a version whose headers had no kid. */
export const prefixWithoutKid = prefixOf(header);

/** One key that seals secrets: RFC 7516, compact serialisation. */
export class SecretKey {
  /** 43 base64url characters. */
  readonly text: string;
  /** Names the key in the header of what it seals (RFC 7516 §4.1.6), and reveals nothing of it. */
  readonly kid: string;
  /** Every text that this key seals begins with it. */
  readonly prefix: string;
  readonly #bytes: Buffer;

  private constructor(text: string) {
    this.text = text;
    this.#bytes = Buffer.from(text, 'base64url');
    this.kid = hash('sha256', this.#bytes, 'buffer').subarray(0, 8).toString('base64url');
    this.prefix = prefixOf({ ...header, kid: this.kid });
  }

  /** @returns undefined if the text is not 43 base64url characters */
  static parse(text: string): SecretKey | undefined {
    return pattern.test(text) ? new SecretKey(text) : undefined;
  }

  static generate(): SecretKey {
    return new SecretKey(randomBytes(32).toString('base64url'));
  }

  seal(plain: string): Promise<string> {
    return new CompactEncrypt(Buffer.from(plain))
      .setProtectedHeader({ ...header, kid: this.kid })
      .encrypt(this.#bytes);
  }

  /** @throws JOSEError if another key sealed the text, or the text was altered */
  async open(sealed: string): Promise<string> {
    const { plaintext } = await compactDecrypt(sealed, this.#bytes, algorithms);
    return Buffer.from(plaintext).toString();
  }
}

/** The kid of the key that sealed a text. Undefined if the header has none. */
export function kidOf(sealed: string): string | undefined {
  try {
    return decodeProtectedHeader(sealed).kid;
  } catch {
    return undefined; // not a sealed text
  }
}

function prefixOf(protectedHeader: object): string {
  return `${Buffer.from(JSON.stringify(protectedHeader)).toString('base64url')}.`;
}
