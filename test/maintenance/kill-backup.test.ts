import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { countRows } from '../../src/db/copy-tables.ts';
import { openDatabase } from '../../src/db/open.ts';
import { BackupFolder } from '../../src/maintenance/backup-folder.ts';
import { filesBelow, freshFolder } from '../files.ts';
import { longRecording, markedRecording, startGateway } from '../gateway.ts';
import { seeded } from '../random.ts';
import { copySecretKey, type Kind, kinds, run, start } from './site.ts';

const kills = Math.ceil(Number(process.env.PLAYHEAD_TEST_KILLS ?? 6) / 3);
const seed = Number(process.env.PLAYHEAD_TEST_SEED ?? randomBytes(4).readUInt32LE());
const template = await longRecording(6);
const recordings = 12;

/** Audio of 0.4 to 6 MB. */
const audioOf = (id: string, index: number) =>
  markedRecording(template, 400_000 + (index % 4) * 1_800_000, id);

/** A gateway with recordings, whose leases a test can end as half a minute would. */
async function filled(t: Test) {
  const settings = await kinds.onFolder.fresh(t);
  const gateway = await startGateway(t, settings);
  const put = async (index: number, mark: string) => {
    const offer = { externalId: `call ${index}`, replace: true };
    t.ok((await gateway.ingest(audioOf(mark, index), offer)).ok);
  };
  for (let index = 0; index < recordings; index++) await put(index, `first ${index}`);
  const database = new DatabaseSync(join(settings['data-dir'], 'playhead.db'), { timeout: 20_000 });
  t.teardown(() => database.close());
  return {
    settings,
    gateway,
    put,
    endLeases: () => database.exec("delete from leases where name = 'backup'"),
  };
}

/** The SHA-256 of each recording in a backup, and of its audio there. */
async function contentOf(folder: string): Promise<{ sha256: string; audio: string }[]> {
  const backup = new BackupFolder(folder);
  const manifest = (await backup.manifest())!;
  await backup.requireDatabase(manifest);
  const database = new DatabaseSync(backup.pathOf(manifest), { readOnly: true });
  const rows = database.prepare('select key, sha256 from recordings').all() as {
    key: string;
    sha256: string;
  }[];
  database.close();
  return Promise.all(
    rows.map(async ({ key, sha256 }) => ({
      sha256,
      audio: createHash('sha256')
        .update(await readFile(join(folder, 'recordings', key)))
        .digest('hex'),
    })),
  );
}

t.test(`killed ${kills} times, a backup leaves a whole one in its folder`, async (t) => {
  const random = seeded(seed);
  const { settings, put, endLeases } = await filled(t);
  const folder = await freshFolder(t);
  t.equal((await run(settings, 'backup', '--to', folder)).code, 0);
  for (let round = 0; round < kills; round++) {
    for (let index = round % 3; index < recordings; index += 3) await put(index, `round ${round} ${index}`);
    const backup = start(settings, 'backup', '--to', folder, '--verify');
    await sleep(random() * 2_500);
    backup.child.kill('SIGKILL');
    await backup.ended;
    endLeases();
    const content = await contentOf(folder);
    t.equal(content.length, recordings);
    t.ok(
      content.every(({ sha256, audio }) => sha256 === audio),
      `whole after round ${round}, seed ${seed}`,
    );
  }
  t.equal((await run(settings, 'backup', '--to', folder)).code, 0);
  t.equal((await contentOf(folder)).length, recordings);
  t.equal((await filesBelow(folder)).length, recordings + 2, 'nothing of interrupted backups is left');
});

async function killRestores(t: Test, kind: Kind) {
  const random = seeded(seed);
  const { settings, gateway } = await filled(t);
  const folder = await freshFolder(t);
  t.equal((await run(settings, 'backup', '--to', folder)).code, 0);
  const target = await kind.fresh(t);
  await copySecretKey(settings, target);
  for (let round = 0; round < kills; round++) {
    const restore = start(target, 'restore', '--from', folder);
    await sleep(random() * 2_500);
    restore.child.kill('SIGKILL');
    await restore.ended;
    const database = await openDatabase(`sqlite:${join(target['data-dir'], 'playhead.db')}`);
    const rows = await countRows(database);
    await database.close();
    if (rows > 0) break; // it had ended before the kill
  }
  const last = await run(target, 'restore', '--from', folder);
  t.ok(last.code === 0 || /The database is not empty/.test(last.stderr), last.stderr);
  const restored = await startGateway(t, target);
  for (let index = 0; index < recordings; index++) {
    const { originEtag: _, ...expected } = (await gateway.parts.catalog.read('acct', `call ${index}`))!;
    const { originEtag, ...found } = (await restored.parts.catalog.read('acct', `call ${index}`))!;
    t.same(found, expected);
    const { token } = await restored.parts.tokens.sign(found);
    const response = await fetch(`${restored.url}/stream/${token}`);
    const body = Buffer.from(await response.arrayBuffer());
    t.ok(body.equals(audioOf(`first ${index}`, index)), `call ${index} plays`);
    await restored.v1(`/recordings/acct/call%20${index}`, { method: 'DELETE' });
  }
}

for (const kind of [kinds.onFolder, kinds.onS3]) {
  t.test(`a restore to ${kind.name} that is killed ${kills} times`, { skip: kind.skip }, async (t) => {
    await killRestores(t, kind);
  });
}
