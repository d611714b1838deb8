import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { type Config, ConfigError } from '../settings/config.ts';

type Stores = Pick<Config, 'store' | 'storeBefore'>;

/** Records that recordings are being moved. From now on no gateway starts that does not know both stores. */
export async function beginStoreMove(db: Kysely<Schema>, { store, storeBefore }: Stores): Promise<void> {
  await db
    .insertInto('store_moves')
    .values({ source: storeBefore, target: store })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** Records that every recording is in the new store. */
export async function endStoreMove(db: Kysely<Schema>): Promise<void> {
  await db.deleteFrom('store_moves').execute();
}

/**
 * A gateway that knows one of the stores only could neither play nor erase what is in the other.
 *
 * @throws ConfigError if recordings are being moved, and a store is missing from the settings
 */
export async function requireStores(db: Kysely<Schema>, { store, storeBefore }: Stores): Promise<void> {
  for (const { source, target } of await db.selectFrom('store_moves').selectAll().execute()) {
    if ([source, target].every((url) => url === store || url === storeBefore)) continue;
    throw new ConfigError(
      `PLAYHEAD_STORE_BEFORE must be ${source} and PLAYHEAD_STORE ${target} until playhead move-store has ended: recordings are in both.`,
    );
  }
}
