import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import t, { type Test } from 'tap';
import { countRows } from '../../src/db/copy-tables.ts';
import { readMark } from '../../src/db/moved.ts';
import { openDatabase, openForMove } from '../../src/db/open.ts';
import { moveDatabase } from '../../src/maintenance/move-database.ts';
import { freshPostgres } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';
import { fixtures, spawnGateway, startGateway } from '../gateway.ts';
import { seeded } from '../random.ts';
import { until } from '../until.ts';
import { run, start } from './site.ts';

const kills = Math.ceil(Number(process.env.PLAYHEAD_TEST_KILLS ?? 6) / 2);
const seed = Number(process.env.PLAYHEAD_TEST_SEED ?? randomBytes(4).readUInt32LE());
const server = process.env.PLAYHEAD_TEST_POSTGRES_URL;
const skip = server ? false : 'PLAYHEAD_TEST_POSTGRES_URL is not set (test/servers/postgres.sh)';
const file = 'inbound-caller1.flac';

const sqliteIn = (dataDir: string) => `sqlite:${join(dataDir, 'playhead.db')}`;

/** A target with a password in its URL. Postgres on loopback accepts any. */
async function freshTarget(t: Test): Promise<string> {
  const url = new URL(await freshPostgres(t, server!));
  url.password = 'hunter2';
  return url.href;
}

t.test('a gateway moves from SQLite to Postgres', { skip }, async (t) => {
  const settings = { 'data-dir': await freshFolder(t) };
  const to = await freshTarget(t);
  const old = await spawnGateway(t, settings);
  const url = await old.streamOf(file, { call: { title: 'Über uns 🎧' } });
  t.equal((await old.ingest('mono.wav', { externalId: 'rejected' })).status, 422);

  const { code, stdout, stderr } = await run(settings, 'move-database', '--to', to);
  t.equal(code, 0, stderr);
  t.match(stdout, /recordings +2\n/);
  t.match(stdout, /^The database is postgres:\/\/127\.0\.0\.1:\d+\/playhead_\w+ now\./m);
  t.notMatch(stdout + stderr, /hunter2/);

  const late = await old.ingest(file, { externalId: 'late' });
  t.match(
    await late.json(),
    { status: 503, code: 'database_unavailable' },
    'nothing is acknowledged any more',
  );
  await until(async () => (await fetch(`${old.url}/readyz`)).status === 503);
  await until(() =>
    old.log().includes('The database takes no writes: the database was moved to postgres://127'),
  );
  const audio = await readFile(join(fixtures, file));
  const body = async (from: string) => Buffer.from(await (await fetch(from)).arrayBuffer());
  t.ok((await body(url)).equals(audio), 'but streams continue');
  t.match(await run(settings, 'keys', 'list'), {
    code: 64,
    stderr: /^PLAYHEAD_DATABASE_URL names a database that was moved to postgres:\/\/127\S+: set it to that/,
  });

  const gateway = await startGateway(t, { ...settings, 'database-url': to });
  t.ok((await body(gateway.url + new URL(url).pathname)).equals(audio), 'the URLs are the same');
  t.match(await (await gateway.v1(`/recordings/acct/${file}`)).json(), { call: { title: 'Über uns 🎧' } });
  t.equal((await gateway.ingest(file, { externalId: 'late' })).status, 201);
  t.match(
    await run(settings, 'move-database', '--to', to, '--json'),
    { code: 0, stdout: /"tables": \{\}/ },
    'again',
  );
});

t.test('move-database says what is wrong, and changes nothing', { skip }, async (t) => {
  const settings = { 'data-dir': await freshFolder(t) };
  const [used, empty, other] = [await freshTarget(t), await freshTarget(t), await freshTarget(t)];
  await startGateway(t, { 'data-dir': await freshFolder(t), 'database-url': used });
  const gateway = await startGateway(t, settings);
  const move = (...args: string[]) => run(settings, 'move-database', ...args);
  t.match(await move(), { code: 64, stderr: /--to is missing/ });
  t.match(await move('--to', 'sqlite:/x'), { code: 64, stderr: /--to must start with postgres/ });
  t.match(await move('--to', used), {
    code: 1,
    stderr: /is not empty, it has \d+ rows: name an empty database/,
  });
  t.match(await run({ ...settings, 'database-url': used }, 'move-database', '--to', empty), {
    code: 64,
    stderr: /must be the SQLite database/,
  });
  t.equal((await gateway.ingest(file)).status, 201, 'the gateway takes recordings in as before');
  t.equal((await move('--to', empty)).code, 0);
  t.match(await move('--to', other), { code: 1, stderr: /was moved to postgres:\S+ before/ });
});

t.test('each state between the commits of a move', { skip }, async (t) => {
  const dataDir = await freshFolder(t);
  const from = sqliteIn(dataDir);
  const to = await freshTarget(t);
  const gateway = await startGateway(t, { 'data-dir': dataDir });
  t.equal((await gateway.ingest(file)).status, 201);
  const target = await openForMove(to);
  t.teardown(() => target.close());
  const markIncomplete = () =>
    sql`insert into database_moves values ('somewhere', 'incomplete', 1)`.execute(target.kysely);

  await sql`insert into secrets values ('of the first copy', '')`.execute(target.kysely);
  await markIncomplete();
  await t.rejects(openDatabase(to), { message: /unfinished copy.*run playhead move-database again/ });
  t.equal((await gateway.ingest(file, { externalId: '2' })).status, 201, 'the old database is in use');
  t.match(
    await moveDatabase({ from, to, onProgress() {} }),
    { tables: { recordings: 2 } },
    'it is copied anew',
  );
  t.equal(await readMark(target.kysely), undefined);

  await markIncomplete();
  await t.rejects(openDatabase(from), { message: /was moved to/ });
  t.match(
    await moveDatabase({ from, to, onProgress() {} }),
    { tables: {} },
    'only the mark is left to remove',
  );
  await (await openDatabase(to)).close();
  const secrets = await target.kysely.selectFrom('secrets').select('name').execute();
  t.notOk(secrets.some(({ name }) => name === 'of the first copy'));
});

/** Starts a writer on the database that prints how many writes are acknowledged, and ends when one fails. */
function startWriter(t: Test, url: string, name: string) {
  const script = new URL('../db/writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, url, name], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  const writer = { name, acknowledged: 0, child, ended: once(child, 'close') };
  createInterface(child.stdout).on('line', () => {
    writer.acknowledged++;
  });
  return writer;
}

t.test(`killed ${kills} times, a move loses nothing that was acknowledged`, { skip }, async (t) => {
  const from = sqliteIn(await freshFolder(t));
  const to = await freshTarget(t);
  const random = seeded(seed);
  const source = await openDatabase(from);
  // Enough rows to be killed among them.
  await sql`insert into secrets with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)
    select 'name ' || i, 'sealed' from n`.execute(source.kysely);
  await source.close();
  const settings = { 'database-url': from, 'data-dir': await freshFolder(t) };
  const writers = [];
  const isMoved = async () => {
    const source = await openForMove(from);
    const mark = await readMark(source.kysely);
    await source.close();
    return mark !== undefined;
  };
  let round = 0;
  for (; round < kills && !(await isMoved()); round++) {
    const writer = startWriter(t, from, `round-${round}`);
    writers.push(writer);
    await until(() => writer.acknowledged > 5);
    const mover = start(settings, 'move-database', '--to', to);
    await sleep(random() * 4_000);
    mover.child.kill('SIGKILL');
    await mover.ended;
    writer.child.kill('SIGKILL');
    await writer.ended;
  }
  t.equal((await run(settings, 'move-database', '--to', to)).code, 0);
  const target = await openDatabase(to);
  t.teardown(() => target.close());
  const rows = await target.kysely.selectFrom('recordings').select(['external_id', 'key']).execute();
  const keys = new Map(rows.map(({ external_id, key }) => [external_id, key]));
  for (const { name, acknowledged } of writers) {
    const missing = Array.from({ length: acknowledged }, (_, count) => count).filter((count) => {
      const id = `${name}-${count}`;
      return keys.get(id) !== [`${id}.first`, `${id}.second`, undefined][count % 3];
    });
    t.same(missing, [], `all ${acknowledged} of ${name}`);
  }
  t.ok((await countRows(target)) > 0, `${round} rounds, seed ${seed}`);
});
