import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { Problem } from '../errors.ts';

/**
 * Keys of the store that no recording owns: not yet, while an upload holds a lease on them, or no longer.
 * A key is written here before a byte is stored under it, so that whatever a crash leaves behind is known.
 */
export async function begin(db: Kysely<Schema>, key: string, leaseMs: number): Promise<void> {
  await db
    .insertInto('uploads')
    .values({ key, lease_until: Date.now() + leaseMs, abandoned_at: null })
    .execute();
}

/** @throws Problem `busy` where the lease has run out and the key was given up meanwhile */
export async function renew(db: Kysely<Schema>, key: string, leaseMs: number): Promise<void> {
  const renewed = await db
    .updateTable('uploads')
    .set({ lease_until: Date.now() + leaseMs })
    .where('key', '=', key)
    .where('abandoned_at', 'is', null)
    .returning('key')
    .executeTakeFirst();
  if (renewed === undefined) throw leaseLost();
}

export async function end(db: Kysely<Schema>, key: string): Promise<void> {
  await db.deleteFrom('uploads').where('key', '=', key).execute();
}

/** Gives up every key whose lease has run out, so that no recording can take it any more. @returns all that are given up */
export async function sweep(db: Kysely<Schema>): Promise<string[]> {
  const now = Date.now();
  await db
    .updateTable('uploads')
    .set({ abandoned_at: now })
    .where('abandoned_at', 'is', null)
    .where('lease_until', '<=', now)
    .execute();
  const rows = await db.selectFrom('uploads').select('key').where('abandoned_at', 'is not', null).execute();
  return rows.map(({ key }) => key);
}

/** A recording takes the key. @throws Problem `busy` where it was given up meanwhile */
export async function take(trx: Kysely<Schema>, key: string): Promise<void> {
  const taken = await trx
    .deleteFrom('uploads')
    .where('key', '=', key)
    .where('abandoned_at', 'is', null)
    .returning('key')
    .executeTakeFirst();
  if (taken === undefined) throw leaseLost();
}

/** A recording gives up its key. */
export async function abandon(trx: Kysely<Schema>, key: string): Promise<void> {
  const now = Date.now();
  await trx.insertInto('uploads').values({ key, lease_until: now, abandoned_at: now }).execute();
}

function leaseLost(): Problem {
  return new Problem('busy', 'The upload stood still for longer than its lease; send it again.', {
    retryAfter: 1,
  });
}
