import { Vault } from '../access/vault.ts';
import { openDatabase } from '../db/open.ts';
import {
  dropSecretKeys,
  listSecretKeys,
  rotateSecretKey,
  type SecretKeyParts,
} from '../maintenance/rotate-secret-key.ts';
import { type Command, exitCode, print, UsageError } from './command.ts';

export const secretKey: Command = {
  maxArgs: 1,

  async run({ args: [action = 'list'], config }) {
    if (!['list', 'rotate', 'drop'].includes(action)) {
      throw new UsageError('Use secret-key list, secret-key rotate or secret-key drop.');
    }
    const db = await openDatabase(config.databaseUrl);
    try {
      const parts = { db, vault: await Vault.open({ db, config }) };
      if (action === 'rotate') return await rotate(parts);
      if (action === 'drop') return await drop(parts);
      for (const { kid, seals, secrets } of await listSecretKeys(parts)) {
        print(`${kid}  ${seals ? 'seals' : 'opens'}  secrets: ${secrets}`);
      }
      return exitCode.done;
    } finally {
      await db.close();
    }
  },
};

async function rotate(parts: SecretKeyParts): Promise<number> {
  const { kid, resealed, unopened } = await rotateSecretKey(parts);
  const { all, file } = parts.vault.keys;
  print(`Every secret is sealed with the key ${kid}. Sealed anew by this run: ${resealed}.`);
  for (const text of unopened) print(`No known key opens the row ${text}. It is as before.`);
  if (file) print(`Keep ${file} in another place: it has a new key. Older backups need the key that it had.`);
  if (all.length === 1) print('To rotate the key, put a new one in front: PLAYHEAD_SECRET_KEY=NEW,OLD.');
  else if (file) print('Next: playhead secret-key drop removes the old key from that file.');
  else print('Next: restart every gateway with PLAYHEAD_SECRET_KEY set to the first key alone.');
  return unopened.length === 0 ? exitCode.done : exitCode.failed;
}

async function drop(parts: SecretKeyParts): Promise<number> {
  const kids = await dropSecretKeys(parts);
  print(kids.length > 0 ? `Removed: ${kids.join(', ')}.` : 'There is only one key. Nothing was removed.');
  return exitCode.done;
}
