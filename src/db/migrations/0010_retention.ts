import type { Kysely } from 'kysely';
import type { CallData } from '../../crm/call.ts';
import { partiesOf } from '../../crm/parties.ts';

interface Tables {
  recordings: { id: string; call: string | null };
  call_parties: { recording_id: string; party: string };
}

const rowsAtOnce = 500;

/** Adds how long the recordings of an account are kept, legal holds, and an index of who took part in a call. */
export async function retention(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('retention_rules')
    .addColumn('account_id', 'text', (column) => column.primaryKey())
    .addColumn('retention_ms', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('holds')
    .addColumn('account_id', 'text', (column) => column.notNull())
    .addColumn('external_id', 'text', (column) => column.notNull())
    .addColumn('reason', 'text', (column) => column.notNull())
    .addColumn('placed_at', 'bigint', (column) => column.notNull())
    .addPrimaryKeyConstraint('holds_subject', ['account_id', 'external_id'])
    .execute();
  await db.schema
    .createTable('call_parties')
    .addColumn('recording_id', 'text', (column) => column.notNull())
    .addColumn('party', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('call_parties_once', ['recording_id', 'party'])
    // Deferred, because a copy of the database fills the tables in any order (copy-tables.ts).
    .addForeignKeyConstraint('call_parties_recording', ['recording_id'], 'recordings', ['id'], (constraint) =>
      constraint.onDelete('cascade').deferrable().initiallyDeferred(),
    )
    .execute();
  await db.schema
    .createIndex('call_parties_party')
    .on('call_parties')
    .columns(['party', 'recording_id'])
    .execute();
  await db.schema
    .createIndex('outbox_account_oldest')
    .on('outbox')
    .columns(['account_id', 'created_at'])
    .execute();
  await fillParties(db as Kysely<Tables>);
}

async function fillParties(db: Kysely<Tables>): Promise<void> {
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('recordings')
      .select(['id', 'call'])
      .where('id', '>', after)
      .orderBy('id')
      .limit(rowsAtOnce)
      .execute();
    if (rows.length === 0) return;
    for (const { id, call } of rows) {
      const parties = call === null ? [] : partiesOf(JSON.parse(call) as CallData);
      if (parties.length === 0) continue;
      await db
        .insertInto('call_parties')
        .values(parties.map((party) => ({ recording_id: id, party })))
        .execute();
    }
    after = rows.at(-1)!.id;
  }
}
