import { execFileSync, spawnSync } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createSandbox } from '../src/sandbox/sandbox.ts';
import { onPostgres } from './contracts/db.ts';
import { startGateway } from './gateway.ts';
import { until } from './until.ts';

const person = {
  accountId: 'tenant-4711',
  externalId: 'call of Ada ✓ 8f3a',
  call: {
    title: 'A call about Babbage',
    body: 'She asked for the engine',
    from: '+49301234567',
    to: '+15550198765',
    associations: [{ objectType: 'contacts', objectId: '90210731' }],
  },
};

/** What must not be found, in each way in which it may be written. */
const traces = [
  person.externalId,
  person.call.title,
  person.call.body,
  person.call.from,
  person.call.to,
  person.call.from.slice(1), // as call_parties has it
  person.call.to.slice(1),
  person.call.associations[0]!.objectId,
  'tenant-4711',
].flatMap((text) => [
  ...new Set([
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
    Buffer.from(text, 'utf16le').toString('latin1'),
  ]),
]);

function tracesIn(bytes: Buffer): string[] {
  return traces.filter((trace) => bytes.includes(trace) || bytes.includes(Buffer.from(trace, 'latin1')));
}

async function tracesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const inName = tracesIn(Buffer.from(entry.name));
    const inFile = entry.isFile() ? tracesIn(await readFile(path)) : [];
    for (const trace of [...inName, ...inFile]) found.push(`${path}: ${trace}`);
  }
  return found;
}

/** Ingests and publishes a recording, replaces it, has it refused once, shares and revokes its URL, and erases it. */
async function liveAndErase(t: Test, settings: Record<string, string>) {
  const sandbox = await createSandbox({});
  t.teardown(() => sandbox.close());
  const gateway = await startGateway(t, {
    'hubspot-app-id': '101',
    'hubspot-access-token': 'sandbox-token',
    'hubspot-api-base': sandbox.url,
    ...settings,
  });
  gateway.parts.dispatcher.start();
  const path = `/recordings/${encodeURIComponent(person.accountId)}/${encodeURIComponent(person.externalId)}`;
  const publicationOf = async () => {
    const { publication } = (await (await gateway.v1(path)).json()) as {
      publication: { state: string; callId: string } | null;
    };
    return publication;
  };
  const live = async () => {
    await gateway.streamOf('inbound-caller1.wav', person);
    await gateway.ingest('swapped-ringback.wav', { ...person, replace: true });
    await gateway.ingest('inbound-caller1.flac', { ...person, replace: true });
    await gateway.v1(`${path}/revoke`, { method: 'POST' });
    await until(async () => (await publicationOf())?.state === 'done');
  };
  await live();
  const { callId } = (await publicationOf())!;
  t.ok(
    (await tracesBelow(gateway.dataDir)).length > 0 || settings['database-url'],
    'the search finds them before',
  );
  t.equal((await gateway.v1(path, { method: 'DELETE' })).status, 204);
  return { gateway, callId, live, publicationOf };
}

t.test('nothing of an erased recording is left in any byte of the data folder', async (t) => {
  const { gateway } = await liveAndErase(t, {});
  t.same(await tracesBelow(gateway.dataDir), []);
});

t.test('an erased recording that is put in again is published anew', async (t) => {
  const { callId, live, publicationOf } = await liveAndErase(t, {});
  t.equal(await publicationOf(), undefined);
  await live();
  const again = (await publicationOf())!;
  t.match(again, { state: 'done', callId: /^\d+$/ });
  t.not(again.callId, callId, 'another call');
});

const hasDump = spawnSync('pg_dump', ['--version']).status === 0;
t.test('nothing of an erased recording is left in a dump', (t) =>
  onPostgres(t, 'Postgres', async (t, place) => {
    if (!hasDump) return void t.comment('# SKIP pg_dump is not installed');
    const { gateway } = await liveAndErase(t, { 'database-url': place.url });
    t.same(tracesIn(execFileSync('pg_dump', [place.url], { maxBuffer: 1e9 })), []);
    t.same(await tracesBelow(gateway.dataDir), []);
  }),
);
