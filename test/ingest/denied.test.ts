import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { createSandbox } from '../../src/sandbox/sandbox.ts';
import { filesBelow } from '../files.ts';
import { startGateway } from '../gateway.ts';

const one = 'inbound-caller1.wav';
const other = 'inbound-caller1.flac';
/** Valid until the length of the audio is known. */
const tooShort = { durationMs: 20, status: 'BUSY' };

const sandbox = await createSandbox({});
t.teardown(() => sandbox.close());
const settings = {
  'hubspot-app-id': '101',
  'hubspot-access-token': 'sandbox-token',
  'hubspot-api-base': sandbox.url,
};

const stored = (dataDir: string) => filesBelow(join(dataDir, 'recordings'));

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

t.test('an ingest that is denied for its call leaves nothing behind', async (t) => {
  const gateway = await startGateway(t, settings);
  const denied = await gateway.ingest(one, { externalId: 'a', call: tooShort });
  t.equal(denied.status, 400);
  t.match(await json(denied), { code: 'invalid_request', detail: /durationMs/ });
  t.equal((await gateway.v1('/recordings/acct/a')).status, 404);
  t.same(await stored(gateway.dataDir), []);
  t.same(await gateway.parts.outbox.list(), []);
});

t.test('a replacement that is denied leaves the old audio, its call and its publication', async (t) => {
  const gateway = await startGateway(t, settings);
  const url = await gateway.streamOf(one, { externalId: 'a', call: { title: 'old' } });
  const before = await json(await gateway.v1('/recordings/acct/a'));
  t.ok(before.publication);
  for (const offer of [{ call: tooShort }, { call: { durationMs: -1 } }, { profile: 'nobody' }]) {
    const denied = await gateway.ingest(other, { externalId: 'a', replace: true, ...offer });
    t.equal(denied.status, 400);
  }
  t.equal((await gateway.ingest('swapped-ringback.wav', { externalId: 'a', replace: true })).status, 422);
  const { refusal: _, updatedAt: __, ...after } = await json(await gateway.v1('/recordings/acct/a'));
  const { updatedAt: ___, ...old } = before;
  t.same(after, old);
  t.equal((await fetch(url)).status, 200);
  t.equal((await stored(gateway.dataDir)).length, 1);
});

t.test('a call that is denied for a recording that is there changes nothing', async (t) => {
  const gateway = await startGateway(t, settings);
  await gateway.ingest(one, { externalId: 'a', call: { title: 'old' } });
  t.equal((await gateway.ingest(one, { externalId: 'a', call: { title: 'new', ...tooShort } })).status, 400);
  t.match(await json(await gateway.v1('/recordings/acct/a')), { call: { title: 'old' } });
});

t.test('an upload with the field mode is denied by its name', async (t) => {
  const gateway = await startGateway(t);
  const denied = await gateway.ingest(one, { externalId: 'a', mode: 'proxy' });
  t.equal(denied.status, 400);
  t.match(await json(denied), { detail: /The field mode/ });
});

t.test('the same recording sent again restores audio that the store has lost', async (t) => {
  const gateway = await startGateway(t, settings);
  const url = await gateway.streamOf(one, { externalId: 'a', call: { title: 'call' } });
  const { key } = (await gateway.parts.catalog.read('acct', 'a'))!;
  const { publication } = await json(await gateway.v1('/recordings/acct/a'));
  await rm(join(gateway.dataDir, 'recordings', key!));
  t.equal((await fetch(url)).status, 404);
  t.equal(
    (await gateway.ingest(other, { externalId: 'a' })).status,
    409,
    'other audio does not take its place',
  );

  t.equal((await gateway.ingest(one, { externalId: 'a', call: { title: 'call' } })).status, 200);
  t.equal((await fetch(url)).status, 200, 'the URL from before plays');
  t.equal((await stored(gateway.dataDir)).length, 1);
  const after = await json(await gateway.v1('/recordings/acct/a'));
  const stepsOf = (value: unknown) => (value as { steps: { name: string; state: string }[] }).steps;
  t.same(stepsOf(after.publication), stepsOf(publication));
});

t.test('the same recording sent again restores audio that is damaged', async (t) => {
  const gateway = await startGateway(t);
  const url = await gateway.streamOf(one, { externalId: 'a' });
  const found = (await gateway.parts.catalog.read('acct', 'a'))!;
  await gateway.parts.recordedAudio.record({ ...found, key: found.key! }, { state: 'damaged' });
  t.equal((await gateway.ingest(one, { externalId: 'a' })).status, 200);
  t.match(await gateway.parts.catalog.read('acct', 'a'), { damagedAt: null });
  t.equal((await fetch(url)).status, 200);
  t.equal((await stored(gateway.dataDir)).length, 1);
});
