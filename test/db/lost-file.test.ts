import { copyFile, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sql } from 'kysely';
import t, { type Test } from 'tap';
import { type Database, openDatabase } from '../../src/db/open.ts';
import { onPostgres } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';
import { spawnGateway } from '../gateway.ts';
import { until } from '../until.ts';

// What happens to an SQLite file while it is open. No write may be acknowledged that the file does not have.

const add = (db: Database, name: string) =>
  db.kysely.insertInto('secrets').values({ name, sealed: '' }).execute();
const unavailable = { code: 'database_unavailable', retryAfter: 2 };

async function setUp(t: Test) {
  const path = join(await freshFolder(t), 'playhead.db');
  const db = await openDatabase(`sqlite:${path}`);
  t.teardown(() => db.close());
  await add(db, 'before');
  await db.ping();
  return { path, db };
}

const faults: [what: string, spoil: (path: string) => Promise<void>][] = [
  ['removed', (path) => rm(path)],
  [
    'replaced by a copy of itself',
    async (path) => {
      await copyFile(path, `${path}.copy`);
      await rename(`${path}.copy`, path);
    },
  ],
  ['moved away', (path) => rename(path, `${path}.away`)],
  ['left without its write-ahead log', (path) => rm(`${path}-wal`)],
  ['left without its shared memory', (path) => rm(`${path}-shm`)],
];
for (const [what, spoil] of faults) {
  t.test(`an open SQLite file that is ${what} takes no write, and is not ready`, async (t) => {
    const { path, db } = await setUp(t);
    await spoil(path);
    await t.rejects(add(db, 'alone'), unavailable, 'a statement');
    const transaction = db.kysely.transaction().execute((trx) => add({ ...db, kysely: trx }, 'together'));
    await t.rejects(transaction, unavailable, 'a transaction');
    await t.rejects(db.ping(), unavailable, 'the probe');
    const { cause } = await db.ping().catch((error) => error);
    t.match(cause.message, /was removed or replaced while this process had it open/);
    t.same(await db.kysely.selectFrom('secrets').select('name').execute(), [{ name: 'before' }]);
  });
}

t.test('a transaction whose file is removed before its commit is rolled back', async (t) => {
  const { path, db } = await setUp(t);
  const transaction = db.kysely.transaction().execute(async (trx) => {
    await add({ ...db, kysely: trx }, 'half');
    await rename(path, `${path}.away`);
  });
  await t.rejects(transaction, unavailable);
  await rename(`${path}.away`, path);
  await add(db, 'after');
  await db.ping();
  const rows = await db.kysely.selectFrom('secrets').select('name').execute();
  t.same(rows, [{ name: 'after' }, { name: 'before' }], 'once the file is back, it takes writes again');
});

t.test('an SQLite file that is overwritten is not ready', async (t) => {
  const { path, db } = await setUp(t);
  const other = new DatabaseSync(path);
  other.exec('pragma wal_checkpoint(truncate)');
  other.close();
  const { length } = await readFile(path);
  await writeFile(path, Buffer.alloc(length, 'x'));
  await t.rejects(db.ping(), unavailable);
});

t.test('a damaged SQLite file is an error of the setting at the start', async (t) => {
  const { path, db } = await setUp(t);
  await db.close();
  const whole = await readFile(path);
  // The first two bytes of a page hold its kind. The schema is on the first page and stays whole.
  const damaged = Buffer.from(whole);
  for (let page = 4096; page < damaged.length; page += 4096) damaged.fill(0xff, page, page + 100);
  await writeFile(path, damaged);
  const again = await openDatabase(`sqlite:${path}`).catch((error) => error);
  t.match(again, { message: /^PLAYHEAD_DATABASE_URL names a file that cannot be used: .*malformed/ });
});

t.test('an SQLite file that cannot be written is not ready', async (t) => {
  const { db } = await setUp(t);
  await sql`pragma query_only = on`.execute(db.kysely);
  await t.rejects(db.ping(), unavailable);
  await sql`pragma query_only = off`.execute(db.kysely);
  await db.ping();
});

await onPostgres(t, 'a replica is not ready, and its connection is closed', async (t, place) => {
  const { kysely, ping } = await place.open();
  await sql`set session characteristics as transaction read only`.execute(kysely);
  await t.rejects(ping(), unavailable);
  await ping();
});

t.test('a gateway whose SQLite file is removed acknowledges nothing and says so', async (t) => {
  const gateway = await spawnGateway(t);
  const ready = async () => {
    const response = await fetch(`${gateway.url}/readyz`);
    return { status: response.status, ...((await response.json()) as object) };
  };
  t.match(await ready(), { status: 200, database: 'ok' });
  t.equal((await gateway.ingest('inbound-caller1.wav', { externalId: 'kept' })).status, 201);

  await rename(join(gateway.dataDir, 'playhead.db'), join(gateway.dataDir, 'away'));
  for (let count = 0; count < 5; count++) {
    const response = await gateway.ingest('inbound-caller1.wav', { externalId: `lost-${count}` });
    t.match(await response.json(), { status: 503, code: 'database_unavailable' });
  }
  await until(async () => (await ready()).status === 503);
  t.match(await ready(), { database: 'out of reach' });
  const sentences = gateway.log().match(/The database takes no writes[^\n]*removed or replaced/g) ?? [];
  t.equal(sentences.length, 1, 'the log says it once');

  await rename(join(gateway.dataDir, 'away'), join(gateway.dataDir, 'playhead.db'));
  t.equal((await gateway.ingest('inbound-caller1.flac', { externalId: 'next' })).status, 201);
  await until(async () => (await ready()).status === 200);
  await until(() => gateway.log().includes('The database takes writes again'));
});
