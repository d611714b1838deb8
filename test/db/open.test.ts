import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, sql } from 'kysely';
import t, { type Test } from 'tap';
import { openDatabase } from '../../src/db/open.ts';
import type { Schema } from '../../src/db/schema.ts';
import { sqliteDialect } from '../../src/db/sqlite.ts';
import { eachEngine, onPostgres, type Place } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';
import { ended } from '../processes.ts';
import { listen } from '../servers/serve.ts';
import { succeeds, until } from '../until.ts';

const opener = `
  import { openDatabase } from '${new URL('../../src/db/open.ts', import.meta.url)}';
  const db = await openDatabase(process.argv[1]);
  await db.ping();
  await db.close();
`;

await eachEngine(t, 'if several processes start together, one migrates', async (t, place) => {
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', opener, place.url], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }),
  );
  const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
  t.same(codes, Array(6).fill(0));
  const db = await place.open();
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(
    db.kysely,
  );
  t.same(rows.map(({ name }) => name).slice(0, 2), ['0001_catalog', '0002_secrets']);
});

await eachEngine(t, 'the schema of a newer version is not changed', async (t, place) => {
  const db = await place.open();
  await sql`insert into kysely_migration (name, timestamp) values ('9999_later', '2030')`.execute(db.kysely);
  const before = await db.kysely.introspection.getTables();
  const older = await place.open();
  await older.ping();
  t.same(await db.kysely.introspection.getTables(), before, 'and can be used, as during an upgrade');

  await sql`insert into required_migrations values ('9999_later')`.execute(db.kysely);
  await t.rejects(
    openDatabase(place.url),
    { message: /upgraded by a later version \(migration 9999_later\).+Start that version/ },
    'unless the newer version says that this one cannot use it',
  );

  await sql`delete from kysely_migration where name = '0002_secrets'`.execute(db.kysely);
  await t.rejects(
    openDatabase(place.url),
    { message: /9999_later/ },
    'a schema that lacks a migration cannot be used',
  );
});

/** Starts a writer and kills it `afterMs` after its first acknowledgement. @returns how many it acknowledged */
async function killedWriter(place: Place, name: string, afterMs: number): Promise<number> {
  const writer = spawn(
    process.execPath,
    [new URL('./writer.ts', import.meta.url).pathname, place.url, name],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let acknowledged = 0;
  const lines = createInterface(writer.stdout).on('line', () => {
    acknowledged += 1;
    if (acknowledged === 1) setTimeout(() => writer.kill('SIGKILL'), afterMs);
  });
  await once(lines, 'close');
  return acknowledged;
}

await eachEngine(t, 'a writer that is killed loses nothing that it acknowledged', async (t, place) => {
  const rounds = await Promise.all(
    [3, 17, 40, 71, 110, 160, 250, 400].map(async (afterMs) => {
      const name = `round-${afterMs}`;
      return { name, acknowledged: await killedWriter(place, name, afterMs) };
    }),
  );
  const { catalog, db } = await place.worker();
  if (db.engine === 'sqlite') {
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(db.kysely);
    t.same(rows, [{ integrity_check: 'ok' }]);
  }
  for (const { name, acknowledged } of rounds) {
    const missing: number[] = [];
    for (let count = 0; count < acknowledged; count += 1) {
      const found = await catalog.get('acme', `${name}-${count}`);
      const key = [`${name}-${count}.first`, `${name}-${count}.second`, undefined][count % 3];
      if (found?.key !== key) missing.push(count);
    }
    t.ok(acknowledged > 0);
    t.same(missing, [], `all ${acknowledged} of ${name} have their acknowledged state`);
  }
  const owned = (await db.kysely.selectFrom('recordings').select('key').execute()).map(({ key }) => key);
  const unowned = (await db.kysely.selectFrom('uploads').select('key').execute()).map(({ key }) => key);
  t.same(
    unowned.filter((key) => owned.includes(key)),
    [],
    'no key belongs to a recording and is expired too',
  );
});

await t.test('only its owner can read an SQLite file', async (t) => {
  const path = join(await freshFolder(t), 'new', 'playhead.db');
  const db = await openDatabase(`sqlite:${path}`);
  t.teardown(() => db.close());
  await db.ping();
  for (const file of [path, `${path}-wal`, `${path}-shm`]) t.equal((await stat(file)).mode & 0o777, 0o600);
});

await t.test('a full disk under SQLite is storage_full, and the earlier rows stay', async (t) => {
  const db = await openDatabase('sqlite::memory:');
  t.teardown(() => db.close());
  const add = (name: string, size: number) =>
    db.kysely
      .insertInto('secrets')
      .values({ name, sealed: 'x'.repeat(size) })
      .execute();
  await add('small', 10);
  await sql`pragma max_page_count = 50`.execute(db.kysely);
  await t.rejects(add('large', 1_000_000), { code: 'storage_full' });
  t.equal((await db.kysely.selectFrom('secrets').selectAll().execute()).length, 1);
});

await t.test(
  'a query waits while another process writes to SQLite, and the event loop runs on',
  async (t) => {
    const path = join(await freshFolder(t), 'playhead.db');
    const db = await openDatabase(`sqlite:${path}`);
    t.teardown(() => db.close());
    const other = new DatabaseSync(path);
    t.teardown(() => other.close());

    other.exec('begin immediate');
    const write = db.kysely.insertInto('secrets').values({ name: 'a', sealed: '' }).execute();
    // The timer can fire only if the waiting write does not block the event loop.
    setTimeout(() => other.exec('commit'), 50);
    await write;
    t.equal((await db.kysely.selectFrom('secrets').selectAll().execute()).length, 1);
  },
);

await t.test('an SQLite file that stays locked is database_unavailable', async (t) => {
  const path = join(await freshFolder(t), 'playhead.db');
  await (await openDatabase(`sqlite:${path}`)).close();
  const impatient = new Kysely<Schema>({ dialect: sqliteDialect(path, 50) });
  t.teardown(() => impatient.destroy());
  const locked = new DatabaseSync(path);
  t.teardown(() => locked.close());

  locked.exec('begin immediate');
  const write = () => impatient.insertInto('secrets').values({ name: 'a', sealed: '' }).execute();
  await t.rejects(write(), { code: 'database_unavailable', retryAfter: 2 });
  t.same(await impatient.selectFrom('secrets').selectAll().execute(), [], 'reads still work');
  locked.exec('commit');
  await write();
});

await t.test('an SQLite file that cannot be used is an error of the setting', async (t) => {
  await t.rejects(openDatabase(`sqlite:${await freshFolder(t)}`), {
    message: /^PLAYHEAD_DATABASE_URL names .* unable to open/,
  });
  const path = join(await freshFolder(t), 'playhead.db');
  await writeFile(path, 'not a database'.repeat(1_000));
  await t.rejects(openDatabase(`sqlite:${path}`), {
    message: /^PLAYHEAD_DATABASE_URL names .* not a database/,
  });
});

await onPostgres(t, 'the database becomes unreachable and comes back', async (t, place) => {
  const { proxy, url, worker } = await place.proxied();
  const near = await place.worker();
  const { db: far, changes } = await worker();
  const delivered: string[] = [];
  changes.on('keys', (subject) => void delivered.push(subject));
  await far.ping();

  proxy.down(true);
  await t.rejects(far.ping(), { code: 'database_unavailable', status: 503, retryAfter: 2 });
  const lost = far.kysely.transaction().execute((trx) => trx.selectFrom('changes').selectAll().execute());
  await t.rejects(lost, { code: 'database_unavailable' });
  await t.rejects(openDatabase(url), { code: 'database_unavailable' }, 'at the start too');
  await near.changes.transaction(async (_trx, record) => record('keys', 'while away'));

  proxy.down(false);
  t.ok(await until(() => succeeds(far.ping())), 'it recovers without a restart');
  t.ok(await until(() => delivered.includes('while away')), 'and delivers the changes that it missed');

  const breaking = far.kysely.transaction().execute(async (trx) => {
    await trx.insertInto('secrets').values({ name: 'half', sealed: '' }).execute();
    proxy.down(true);
    await trx.insertInto('secrets').values({ name: 'whole', sealed: '' }).execute();
  });
  await t.rejects(breaking, { code: 'database_unavailable' }, 'the connection breaks in a transaction');
  proxy.down(false);
  t.ok(await until(() => succeeds(far.ping())));
  const stored = near.db.kysely.selectFrom('secrets').select('name').where('name', 'in', ['half', 'whole']);
  t.same(await stored.execute(), [], 'none of its rows is stored');
  await t.rejects(
    sql`select nothing from nowhere`.execute(far.kysely),
    { code: '42P01' },
    'an error in a query is not database_unavailable',
  );
});

/** A proxy to the server that can drop everything without closing a connection. */
async function silentProxy(t: Test, url: URL) {
  let isSilent = false;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: url.hostname, port: Number(url.port), allowHalfOpen: true });
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => {}).on('close', () => to.destroy());
      from.on('data', (bytes) => isSilent || to.write(bytes)).on('end', () => isSilent || to.end());
    }
  });
  const { port } = await listen(t, server);
  const proxied = new URL(url);
  proxied.host = `127.0.0.1:${port}`;
  const silence = () => {
    isSilent = true;
  };
  return { url: proxied.href, silence };
}

const closer = `
  import { once } from 'node:events';
  import { Changes } from '${new URL('../../src/db/changes.ts', import.meta.url)}';
  import { openDatabase } from '${new URL('../../src/db/open.ts', import.meta.url)}';
  const db = await openDatabase(process.argv[1]);
  const changes = await Changes.open(db, 60_000);
  console.log('open');
  await once(process.stdin.resume(), 'end');
  await changes.close();
  await db.close();
`;

await onPostgres(t, 'a silent server does not prevent a process from exiting', async (t, place) => {
  const proxy = await silentProxy(t, new URL(place.url));
  const args = ['--input-type=module', '-e', closer, proxy.url];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const { kysely } = await place.open();
  const listening = sql`select from pg_stat_activity where datname = current_database() and query like 'listen %'`;
  await until(async () => (await listening.execute(kysely)).rows.length === 1);
  proxy.silence();
  child.stdin.end();
  t.equal(await ended(child), 0);
});

await onPostgres(t, 'a replica is database_unavailable, and its connection is closed', async (t, place) => {
  const { kysely } = await place.open();
  await sql`set session characteristics as transaction read only`.execute(kysely);
  const write = () => kysely.insertInto('secrets').values({ name: 'a', sealed: '' }).execute();
  await t.rejects(write(), { code: 'database_unavailable' });
  await write();
});

await onPostgres(t, 'a query that takes too long is cancelled', async (t, place) => {
  const { kysely } = await place.open();
  const slow = kysely.transaction().execute(async (trx) => {
    await sql`set local statement_timeout = 50`.execute(trx);
    await sql`select pg_sleep(30)`.execute(trx);
  });
  await t.rejects(slow, { code: 'database_unavailable' });
  const { rows } = await sql`select 1 as one`.execute(kysely);
  t.same(rows, [{ one: 1 }]);
});

await onPostgres(t, 'a full disk under Postgres is storage_full', async (t, place) => {
  const { kysely } = await place.open();
  const full = sql`do $$ begin raise exception 'no space left on device' using errcode = '53100'; end $$`;
  await t.rejects(full.execute(kysely), { code: 'storage_full' });
});
