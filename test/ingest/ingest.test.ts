import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { Problem } from '../../src/errors.ts';
import type { FileStore } from '../../src/origins/file/file.ts';
import { StoreKeys } from '../../src/recordings/store-keys.ts';
import { filesBelow } from '../files.ts';
import { fixtures, startGateway } from '../gateway.ts';

type Gateway = Awaited<ReturnType<typeof startGateway>>;

const file = 'inbound-caller1.wav';
const other = 'inbound-caller1.flac';

/** The names of all files in the store's folder and its subfolders. */
const storedFiles = (dataDir: string) => filesBelow(join(dataDir, 'recordings'));

t.test('new audio plays even if the audio it replaced cannot be removed', async (t) => {
  const fresh = await startGateway(t);
  await fresh.ingest(file, { externalId: 'a' });
  const restore = breakRemoval(fresh, 1);
  t.equal((await fresh.ingest(other, { externalId: 'a', replace: true })).status, 200);
  restore();
  t.equal((await storedFiles(fresh.dataDir)).length, 2, 'both files are in the store');
  await fresh.parts.storedAudio.removeExpired();
  t.equal((await storedFiles(fresh.dataDir)).length, 1, 'the old file is removed later');
  const whole = await readFile(join(fixtures, other));
  const response = await fetch(await fresh.streamOf(other, { externalId: 'a' }));
  t.ok(Buffer.from(await response.arrayBuffer()).equals(whole), 'the new audio plays');
});

t.test('if a removal fails, the response stays the same and other removals go on', async (t) => {
  const fresh = await startGateway(t);
  await fresh.ingest(file, { externalId: 'a' });
  const restore = breakRemoval(fresh, Number.POSITIVE_INFINITY);
  t.equal((await fresh.ingest(other, { externalId: 'a' })).status, 409);
  const form = new FormData();
  form.append('audio', new Blob([await readFile(join(fixtures, file))]), file);
  t.equal((await fresh.v1('/check', { method: 'POST', body: form })).status, 200);
  restore();
  const keys = ['00/first', '00/second'];
  const storeKeys = new StoreKeys(fresh.parts.db.kysely);
  for (const key of keys) await storeKeys.add(key, -1);
  const restoreAgain = breakRemoval(fresh, 1);
  await t.rejects(fresh.parts.storedAudio.removeExpired());
  restoreAgain();
  t.equal((await storeKeys.collectExpired()).length, 1, 'only the key whose audio could not be removed');
});

/** Makes the store unreachable for the next `times` removals. @returns a function that repairs it */
function breakRemoval(gateway: Gateway, times: number): () => void {
  const store = gateway.parts.origins.store as FileStore;
  const remove = store.remove;
  let failuresLeft = times;
  store.remove = async (key) => {
    if (failuresLeft-- > 0) throw new Problem('origin_unavailable');
    return remove.call(store, key);
  };
  return () => {
    store.remove = remove;
  };
}

t.test('a recording erased by one process can be ingested at once by another', async (t) => {
  const one = await startGateway(t);
  const two = await startGateway(t, { 'data-dir': one.dataDir });
  await one.ingest(file, { externalId: 'a' });
  t.equal((await two.v1('/recordings/acct/a')).status, 200);
  t.equal((await one.v1('/recordings/acct/a', { method: 'DELETE' })).status, 204);
  t.equal((await two.ingest(file, { externalId: 'a' })).status, 201);
  t.equal((await one.v1('/recordings/acct/a')).status, 200);
  t.equal((await storedFiles(one.dataDir)).length, 1);
});
