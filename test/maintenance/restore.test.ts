import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { openDatabase } from '../../src/db/open.ts';
import { filesBelow, freshFolder } from '../files.ts';
import { fixtures, longRecording, startGateway } from '../gateway.ts';
import { bodyOf, type Kind, kinds, restored, run, type Settings, urlOf } from './site.ts';

const files = ['inbound-caller1.wav', 'inbound-caller1.flac'];

/** The rows of the tables that a backup must have. */
async function rowsOf(settings: Settings) {
  const url = settings['database-url'] ?? `sqlite:${join(settings['data-dir'], 'playhead.db')}`;
  const { kysely, close } = await openDatabase(url);
  const recordings = await kysely.selectFrom('recordings').selectAll().orderBy('id').execute();
  const jobs = await kysely.selectFrom('outbox').selectAll().orderBy('id').execute();
  const keys = await kysely.selectFrom('signing_keys').selectAll().orderBy('ordinal').execute();
  await close();
  return { recordings: recordings.map(({ origin_etag: _, verified_at: __, ...row }) => row), jobs, keys };
}

const trips: [from: Kind, to: Kind][] = [
  [kinds.onFolder, kinds.onFolder],
  [kinds.onFolder, kinds.onPostgres],
  [kinds.onPostgres, kinds.onFolder],
  [kinds.onFolder, kinds.onS3],
  [kinds.onS3, kinds.onS3],
];

for (const [from, to] of trips) {
  const skip = from.skip || to.skip;
  t.test(`a backup of ${from.name} is restored to ${to.name}`, { skip }, async (t) => {
    const settings = await from.fresh(t);
    const folder = join(await freshFolder(t), 'backup');
    const gateway = await startGateway(t, settings);
    for (const file of files)
      t.ok((await gateway.ingest(file, { call: { title: `Anruf né 🎧 ${file}` } })).ok);
    t.ok((await gateway.ingest(await longRecording(11), { externalId: 'long' })).ok);
    t.equal((await gateway.ingest('mono.wav', { externalId: 'rejected' })).status, 422);

    const first = await run(settings, 'backup', '--to', folder);
    t.match(first, { code: 0, stdout: /3 recordings .* 3 of them are new/ }, first.stderr);
    t.match(first.stdout, /The secret key is not in it\. Keep \S+secret-key in another place/);
    const again = await run(settings, 'backup', '--to', folder, '--json');
    t.match(JSON.parse(again.stdout), { recordings: 3, lost: 0, added: { recordings: 0, bytes: 0 } });
    t.same((await filesBelow(folder)).filter((name) => name.startsWith('database')).length, 1);

    const place = await restored(t, to, settings, folder);
    t.match(place.stdout, /Restored \d+ rows and 3 recordings/);
    t.same(await rowsOf(place.settings), await rowsOf(settings), 'every row is there');
    for (const file of files)
      t.ok(
        (await bodyOf(await urlOf(place.gateway, file))).equals(await readFile(join(fixtures, file))),
        file,
      );
    t.ok((await bodyOf(await urlOf(place.gateway, 'long'))).equals(await longRecording(11)), 'the long one');
    t.match(await (await place.gateway.v1('/recordings/acct/rejected')).json(), { verdict: 'fail' });
    await place.gateway.v1('/recordings/acct/long', { method: 'DELETE' });
  });
}
