import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../settings/config.ts';
import { readOrCreateSecret, replaceSecret } from './secret-file.ts';
import { SecretKey } from './secret-key.ts';

export interface SecretKeyConfig {
  /** One key, or several while the key is rotated, the newest first. If empty, the keys are in a file. */
  secretKey: string;
  dataDir: string;
}

const fileName = 'secret-key';

/** The secret keys that this process knows: of the setting, or of the file `secret-key` in the data folder. */
export class SecretKeys {
  /** The file that has the keys. Undefined if the setting has them. */
  readonly file: string | undefined;
  #all: SecretKey[];
  /** Were in the file before: what they sealed may have been read before it was sealed anew. */
  #removed: SecretKey[] = [];

  private constructor(all: SecretKey[], file?: string) {
    this.#all = all;
    this.file = file;
  }

  /** Creates the file if there is neither a setting nor a file. @throws ConfigError */
  static async open({ secretKey, dataDir }: SecretKeyConfig): Promise<SecretKeys> {
    if (secretKey) return new SecretKeys(parse(secretKey, 'PLAYHEAD_SECRET_KEY'));
    const file = join(dataDir, fileName);
    return new SecretKeys(parse(await readOrCreateSecret(dataDir, fileName), file), file);
  }

  /** Newest first. */
  get all(): readonly SecretKey[] {
    return this.#all;
  }

  get newest(): SecretKey {
    return this.#all[0]!;
  }

  /** The keys that may open a text. */
  get known(): readonly SecretKey[] {
    return [...this.#all, ...this.#removed];
  }

  /** Reads the file again: a rotation writes to it while gateways run. @throws ConfigError */
  async reload(): Promise<void> {
    if (this.file === undefined) return;
    const all = parse(await readFile(this.file, 'utf8'), this.file);
    const kids = all.map(({ kid }) => kid);
    this.#removed = this.known.filter(({ kid }) => !kids.includes(kid));
    this.#all = all;
  }

  /** Puts a new key into the file, before the others. Killed at any instant, the file has every key that seals. */
  addToFile(key: SecretKey): Promise<void> {
    return this.#write([key, ...this.#all]);
  }

  /** Removes every key but the newest from the file. */
  keepNewestInFile(): Promise<void> {
    return this.#write([this.newest]);
  }

  async #write(keys: SecretKey[]): Promise<void> {
    if (this.file === undefined) throw new Error('The keys are in the settings.');
    const lines = keys.map(({ text }) => text).join('\n');
    await replaceSecret(this.file, lines).catch((cause: Error) => {
      throw new ConfigError(`${this.file} cannot be written: ${cause.message}.`, { cause });
    });
    this.#all = keys;
  }
}

/** Keys that are separated by commas or white space. @throws ConfigError with `name` */
function parse(text: string, name: string): SecretKey[] {
  const keys = text
    .trim()
    .split(/[\s,]+/)
    .map((part) => SecretKey.parse(part));
  if (keys.includes(undefined)) {
    throw new ConfigError(`${name} must be 43 base64url characters (32 bytes), or several such keys.`);
  }
  return keys as SecretKey[];
}
