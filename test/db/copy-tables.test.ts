import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { sql } from 'kysely';
import t from 'tap';
import { copyTables, countRows, type Side } from '../../src/db/copy-tables.ts';
import { type Database, openDatabase } from '../../src/db/open.ts';
import { snapshot } from '../../src/db/snapshot.ts';
import { eachEngine, type Place, put, recording } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';

/** Rows in most tables, with every kind of value. */
async function fill(place: Place): Promise<Database> {
  const worker = await place.worker();
  const { db, changes, tokens } = worker;
  for (let number = 0; number < 520; number++) {
    await put(
      worker,
      recording({ externalId: `Anruf ${number} né 🎧`, call: number % 2 ? null : { title: 'x' } }),
    );
  }
  await tokens.revoke({ accountId: 'acme' });
  await changes.transaction(async (_trx, record) => record('keys', 'k'));
  return db;
}

const everything = (db: Database) =>
  sql`select * from recordings order by id`.execute(db.kysely).then((r) => r.rows);

await eachEngine(
  t,
  'a copy of all tables is the same in either engine, and numbers go on',
  async (t, place) => {
    const db = await fill(place);
    const path = join(await freshFolder(t), 'copy.db');
    let steps = 0;
    await snapshot(db, path, (more) => {
      steps += more;
    });
    t.ok(steps > 0, 'progress was reported');
    const copy = await openDatabase(`sqlite:${path}`);
    t.teardown(() => copy.close());
    t.same(await everything(copy), await everything(db));

    const target = await place.fresh();
    const move = (source: Side) =>
      target.kysely.transaction().execute((kysely) => copyTables(source, { kysely, engine: target.engine }));
    const counts = await move(copy);
    t.match(counts, { recordings: 520, revocations: 1, signing_keys: 1 });
    t.equal(
      Object.values(counts).reduce((a, b) => a + b),
      await countRows(target),
    );
    t.same(await everything(target), await everything(db));
    const last = async (of: Database) =>
      (await of.kysely.selectFrom('changes').select('seq').orderBy('seq', 'desc').executeTakeFirstOrThrow())
        .seq;
    const before = await last(db);
    await target.kysely.insertInto('changes').values({ kind: 'keys', subject: 'next', at: 1 }).execute();
    t.equal(await last(target), before + 1, 'the next number follows the copied ones');
  },
);

await eachEngine(t, 'a copy that differs from its source is an error', async (t, place) => {
  const db = await fill(place);
  const target = await place.fresh();
  const changing = target.kysely.withPlugin({
    transformQuery: ({ node }) => node,
    transformResult: async ({ result }) => ({
      ...result,
      rows: result.rows.map((row) => ('sha256' in row ? { ...row, sha256: 'other' } : row)),
    }),
  });
  const copying = changing
    .transaction()
    .execute((kysely) =>
      db.kysely
        .transaction()
        .execute((from) =>
          copyTables({ kysely: from, engine: db.engine }, { kysely, engine: target.engine }),
        ),
    );
  await t.rejects(copying, { message: /recordings differs/ });
  t.equal(await countRows(target), 0, 'and nothing of it stays');
});

await eachEngine(t, 'a snapshot has nothing that was written while it ran', async (t, place) => {
  const worker = await place.worker();
  const db = await fill(place);
  const path = join(await freshFolder(t), 'copy.db');
  let written = 0;
  let isDone = false;
  const writing = (async () => {
    while (!isDone) {
      await put(worker, recording({ externalId: `later ${written++}` }));
      await setImmediate(); // SQLite's writes alone would never let the snapshot continue
    }
  })();
  const known = await db.kysely.selectFrom('recordings').select('external_id').execute();
  await snapshot(db, path, () => {});
  isDone = true;
  await writing;
  const copy = await openDatabase(`sqlite:${path}`);
  t.teardown(() => copy.close());
  const copied = await copy.kysely.selectFrom('recordings').select('external_id').execute();
  t.ok(copied.length >= known.length);
  const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(copy.kysely);
  t.same(rows, [{ integrity_check: 'ok' }]);
});
