import { countSealed, readSealed, replaceSealed, sealedColumns } from '../access/sealed-texts.ts';
import { prefixWithoutKid, SecretKey } from '../access/secret-key.ts';
import { sealingRow, type Vault } from '../access/vault.ts';
import type { Database } from '../db/open.ts';
import { ConfigError } from '../settings/config.ts';

export interface SecretKeyParts {
  db: Database;
  vault: Vault;
}

export interface SecretKeyState {
  kid: string;
  /** Whether this key seals. The others only open what they have sealed. */
  seals: boolean;
  /** How many texts in the database are sealed with it. */
  secrets: number;
}

export interface Rotation {
  /** The key that seals now. */
  kid: string;
  /** How many texts were sealed anew. 0 if an earlier run had done all. */
  resealed: number;
  /** Texts that no known key opens, as `table id`. They are as before. */
  unopened: string[];
}

const textsAtOnce = 100;

/** The keys that this process knows, newest first. @throws ConfigError, Problem `database_unavailable` */
export async function listSecretKeys({ db, vault }: SecretKeyParts): Promise<SecretKeyState[]> {
  const sealingKid = await vault.sealingKid();
  const states: SecretKeyState[] = [];
  for (const { kid, prefix } of vault.keys.all) {
    const secrets = await countSealed(db.kysely, { by: [prefix] });
    states.push({ kid, seals: kid === sealingKid, secrets });
  }
  return states;
}

/**
 * Makes the newest key the one that seals, and seals every secret anew with it. If the keys are in a file and it has
 * one, a new key is put into it first. Both keys stay usable, so nothing is lost by a kill, and the next run
 * continues. Gateways that know both keys may serve meanwhile.
 *
 * @throws ConfigError, Problem `database_unavailable`
 */
export async function rotateSecretKey({ db, vault }: SecretKeyParts): Promise<Rotation> {
  const { keys } = vault;
  // The file is written within the transaction, so that runs at the same time do not write it both.
  const target = await vault.exclusively(async (trx) => {
    await keys.reload();
    if (keys.file !== undefined && keys.all.length === 1) await keys.addToFile(SecretKey.generate());
    await vault.sealWith(trx, keys.newest);
    return keys.newest;
  });
  const rotation: Rotation = { kid: target.kid, resealed: 0, unopened: [] };
  // From here on every process stores what it seals with the new key.
  for (const column of sealedColumns) {
    let after: string | number | undefined;
    for (;;) {
      const which = { notBy: [target.prefix] };
      const texts = await readSealed(db.kysely, column, { which, after, limit: textsAtOnce });
      if (texts.length === 0) break;
      for (const text of texts) {
        if (text.id === sealingRow) continue; // replaced by another run, to another key
        const plain = await vault.open(text.sealed).catch(unlessUnknown);
        if (plain === undefined) rotation.unopened.push(`${column.table} ${text.id}`);
        // A text that was changed meanwhile has been sealed with the new key.
        else if (await replaceSealed(db.kysely, column, text, await target.seal(plain))) rotation.resealed++;
      }
      after = texts.at(-1)!.id;
    }
  }
  return rotation;
}

/**
 * Removes from the file every key but the newest.
 *
 * @returns the kids of the removed keys
 * @throws Error with a sentence if one of them is still needed; ConfigError if the keys are in the settings
 */
export async function dropSecretKeys({ vault }: SecretKeyParts): Promise<string[]> {
  const { keys } = vault;
  if (keys.file === undefined) {
    throw new ConfigError('PLAYHEAD_SECRET_KEY has the keys: remove all but the first there.');
  }
  // Nobody can store a text that an old key has sealed between the count and the removal.
  return vault.exclusively(async (trx) => {
    await keys.reload();
    const older = keys.all.slice(1);
    if (older.length === 0) return [];
    const by = [prefixWithoutKid, ...older.map(({ prefix }) => prefix)];
    const left = await countSealed(trx, { by });
    if (left > 0) {
      throw new Error(
        `Secrets are still sealed with an older key (${left}): run playhead secret-key rotate.`,
      );
    }
    await keys.keepNewestInFile();
    return older.map(({ kid }) => kid);
  });
}

function unlessUnknown(error: unknown): undefined {
  if (!(error instanceof ConfigError)) throw error;
}
