import { hash } from 'node:crypto';
import type { Kysely } from 'kysely';

interface Tables {
  revocations: { account_id: string; external_id: string; jti: string };
  changes: { kind: string };
}

/**
 * Replaces the ids of recordings in revocations by a hash, and removes the ids from the change feed: both outlive an
 * erased recording. Every process reads the catalog anew when it starts, so no change is missed.
 */
export async function hashedSubjects(db: Kysely<unknown>): Promise<void> {
  const tables = db as Kysely<Tables>;
  const rows = await tables.selectFrom('revocations').selectAll().where('external_id', '!=', '').execute();
  for (const { account_id, external_id, jti } of rows) {
    await tables
      .updateTable('revocations')
      .set({
        account_id: '',
        external_id: hash('sha256', JSON.stringify([account_id, external_id]), 'base64url'),
      })
      .where('account_id', '=', account_id)
      .where('external_id', '=', external_id)
      .where('jti', '=', jti)
      .execute();
  }
  await tables.deleteFrom('changes').where('kind', 'in', ['recording', 'revocation']).execute();
}
