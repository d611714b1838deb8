import { randomBytes } from 'node:crypto';
import { link, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { filesBelow, freshFolder } from '../files.ts';
import { longRecording, markedRecording, spawnGateway } from '../gateway.ts';
import { ended } from '../processes.ts';
import { seeded } from '../random.ts';
import { until } from '../until.ts';

const kills = Number(process.env.PLAYHEAD_TEST_KILLS ?? 5);
const seed = Number(process.env.PLAYHEAD_TEST_SEED ?? randomBytes(4).readUInt32LE());
const dueEachRound = 50;
const latestKillMs = 400;
const dayMs = 86_400_000;

const template = await longRecording(1);

/** The gateway's database, to look into it and to change it without the gateway. */
function lookInto(t: Test, dataDir: string) {
  const database = new DatabaseSync(join(dataDir, 'playhead.db'), { timeout: 20_000 });
  t.teardown(() => database.close());
  const column = (query: string): string[] =>
    database
      .prepare(query)
      .all()
      .map((row) => String(Object.values(row)[0]));
  return {
    ids: () => column('select external_id from recordings'),
    /** Ids in the index of parties. */
    parties: () =>
      column('select r.external_id from call_parties p left join recordings r on r.id = p.recording_id'),
    count: (name: string) =>
      Number(column(`select count(*) from recordings where external_id like '${name}'`)[0]),
    key: (id: string) => column(`select key from recordings where external_id = '${id}'`)[0]!,
    /** A second recording with the row and the parties of one that is there. */
    copy(id: string, other: string, key: string) {
      database.exec('begin immediate; create temp table copied as select * from recordings where false');
      database.exec(`insert into copied select * from recordings where external_id = '${id}'`);
      database.exec(`update copied set id = '${other}', external_id = '${other}', key = '${key}'`);
      database.exec('insert into recordings select * from copied; drop table copied');
      database.exec(`insert into call_parties values ('${other}', 'number:1')`);
      database.exec('commit');
    },
    makeDue: (name: string) =>
      database.exec(
        `update recordings set created_at = ${Date.now() - 31 * dayMs} where external_id like '${name}'`,
      ),
    /** Ends the leases of the process that was killed, as half a minute would. */
    endLeases: () => database.exec('delete from leases; update uploads set lease_until = 0'),
  };
}

t.test(`killed ${kills} times while recordings end by their retention`, async (t) => {
  const random = seeded(seed);
  const dataDir = await freshFolder(t);
  const start = () => spawnGateway(t, { 'data-dir': dataDir, 'log-level': 'silent', retention: '30d' });
  /** What was acknowledged. */
  const audio = new Map<string, Buffer<ArrayBuffer>>();
  /** What may have been committed, although its acknowledgement was cut off. */
  const unknown = new Map<string, Buffer<ArrayBuffer>>();
  let gateway = await start();
  const database = lookInto(t, dataDir);
  const put = async (id: string) => {
    const bytes = markedRecording(template, 300_000, id);
    unknown.set(id, bytes);
    const response = await gateway.ingest(bytes, { externalId: id, call: { from: '+1' } });
    if (!response.ok) throw new Error(`${id}: ${await response.text()}`);
    unknown.delete(id);
    audio.set(id, bytes);
  };
  const hold = async (id: string) => {
    const response = await gateway.v1(`/recordings/acct/${id}/hold`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ reason: 'Case 12' }),
    });
    if (!response.ok) throw new Error(await response.text());
  };
  const kill = async () => {
    gateway.child.kill('SIGKILL');
    await ended(gateway.child);
    database.endLeases();
  };

  for (const id of ['source', 'held-1', 'held-2']) await put(id);
  for (const id of ['held-1', 'held-2']) await hold(id);
  await kill();
  let interrupted = 0;
  for (let round = 0; round < kills; round++) {
    const keyOfSource = database.key('source');
    for (let index = 0; index < dueEachRound; index++) {
      const id = `due-${round}-${index}`;
      const file = join(dataDir, 'recordings', `${round}/${id}`);
      await mkdir(dirname(file), { recursive: true });
      await link(join(dataDir, 'recordings', keyOfSource), file);
      database.copy('source', id, `${round}/${id}`);
    }
    for (const name of ['due-%', 'held-%']) database.makeDue(name);
    const due = database.count('due-%');
    gateway = await start();
    const putting = put(`new-${round}`).then(
      () => true,
      () => false,
    );
    await until(() => database.count('due-%') < due);
    // Half of the rounds are killed while it erases. A quarter may be killed in an ingest, and a quarter when all is done.
    if (round % 4 === 1) await sleep(random() * latestKillMs);
    if (round % 4 === 3) await until(async () => (await putting) && database.count('due-%') === 0, 120_000);
    await kill();
    await putting;
    if (database.count('due-%') > 0) interrupted++;
  }

  gateway = await start();
  await until(() => database.count('due-%') === 0, 120_000);
  await put('last');
  const ids = database.ids();
  for (const id of ids) if (unknown.has(id)) audio.set(id, unknown.get(id)!);
  const kept = [...audio.keys()].sort();
  t.same(ids.sort(), kept, 'what was not due and what was held is there, and nothing else');
  t.same(database.parties().sort(), kept, 'no trace of who took part in what has ended');
  const files = () => filesBelow(join(dataDir, 'recordings'));
  await until(async () => (await files()).length === kept.length, 60_000).catch(() => {});
  t.equal((await files()).length, kept.length, 'nor of its audio');
  const wrong: string[] = [];
  for (const [id, bytes] of audio) {
    const shared = await gateway.v1(`/recordings/acct/${id}/url`, { method: 'POST' });
    const { authenticatedUrl } = (await shared.json()) as { authenticatedUrl: string };
    if (!Buffer.from(await (await fetch(authenticatedUrl)).arrayBuffer()).equals(bytes)) wrong.push(id);
  }
  t.same(wrong, [], 'and plays');
  t.ok(interrupted > 0, `${interrupted} of ${kills} kills left recordings that were due, seed ${seed}`);
});
