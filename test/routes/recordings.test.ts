import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { filesBelow } from '../files.ts';
import { fixtures, startGateway } from '../gateway.ts';

const file = 'inbound-caller1.wav';
const other = 'inbound-caller1.flac';
const gateway = await startGateway(t);

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

/** The names of all files in the store. */
const stored = (dataDir: string) => filesBelow(join(dataDir, 'recordings'));

t.test('a recording is created, repeated, rejected as a conflict, and replaced', async (t) => {
  const created = await gateway.ingest(file, { externalId: 'a' });
  t.equal(created.status, 201);
  const recording = await json(created);
  t.match(recording, {
    accountId: 'acct',
    externalId: 'a',
    direction: 'inbound',
    playable: true,
    verdict: 'pass',
  });
  t.equal(
    recording.sha256,
    createHash('sha256')
      .update(await readFile(join(fixtures, file)))
      .digest('hex'),
  );
  t.match(recording.audio, { container: 'wav', channels: 2, sampleRate: 8000 });

  const repeated = await gateway.ingest(file, { externalId: 'a' });
  t.equal(repeated.status, 200);
  t.same(await json(repeated), recording, 'the same record');
  t.equal((await stored(gateway.dataDir)).length, 1, 'one file');

  const conflicting = await gateway.ingest(other, { externalId: 'a' });
  t.equal(conflicting.status, 409);
  t.equal((await json(conflicting)).code, 'conflict');

  const replaced = await gateway.ingest(other, { externalId: 'a', replace: true });
  t.equal(replaced.status, 200);
  t.match((await json(replaced)).audio, { container: 'flac' });
  t.equal((await stored(gateway.dataDir)).length, 1, 'the old file is removed');
});

t.test('the same audio sent again may update the call', async (t) => {
  await gateway.ingest(file, { externalId: 'updated', call: { title: 'before' } });
  const again = await gateway.ingest(file, {
    externalId: 'updated',
    call: { title: 'after', to: '+15550123' },
  });
  t.equal(again.status, 200);
  const without = await gateway.ingest(file, { externalId: 'updated' });
  t.match(
    (await json(without)).call,
    { title: 'after', to: '+15550123' },
    'an upload without a call does not change it',
  );
});

t.test('once audio is replaced, its URL stops working and a new URL plays the new audio', async (t) => {
  const before = await gateway.streamOf(file, { externalId: 'b' });
  await gateway.ingest(other, { externalId: 'b', replace: true });
  t.equal((await fetch(before)).status, 401);
  const { authenticatedUrl } = await json(await gateway.v1('/recordings/acct/b/url', { method: 'POST' }));
  const bytes = Buffer.from(await (await fetch(String(authenticatedUrl))).arrayBuffer());
  t.ok(bytes.equals(await readFile(join(fixtures, other))));
});

t.test('if one id gets twenty uploads at once, one file is kept', async (t) => {
  const before = (await stored(gateway.dataDir)).length;
  const responses = await Promise.all(
    Array.from({ length: 20 }, () => gateway.ingest(file, { externalId: 'race' })),
  );
  t.equal(responses.filter(({ status }) => status === 201).length, 1);
  t.equal(responses.filter(({ status }) => status === 200).length, 19);
  t.equal((await stored(gateway.dataDir)).length, before + 1);
});

t.test('revoke ends the existing URLs, and new ones work', async (t) => {
  const url = await gateway.streamOf(file, { externalId: 'c' });
  t.equal((await fetch(url)).status, 200);
  t.equal((await gateway.v1('/recordings/acct/c/revoke', { method: 'POST' })).status, 204);
  t.equal((await fetch(url)).status, 401);
  const { authenticatedUrl } = await json(await gateway.v1('/recordings/acct/c/url', { method: 'POST' }));
  t.equal((await fetch(String(authenticatedUrl))).status, 200);
});

t.test('recordings are listed newest first, page by page', async (t) => {
  for (const externalId of ['p1', 'p2', 'p3']) await gateway.ingest(file, { accountId: 'pages', externalId });
  const seen: unknown[] = [];
  let query = 'accountId=pages&limit=2';
  for (let page = 0; page < 2; page++) {
    const { recordings, next } = await json(await gateway.v1(`/recordings?${query}`));
    seen.push(...(recordings as { externalId: string }[]).map(({ externalId }) => externalId));
    query = `accountId=pages&limit=2&cursor=${encodeURIComponent(String(next))}`;
  }
  t.same(seen, ['p3', 'p2', 'p1']);
  t.equal((await gateway.v1('/recordings?cursor=nonsense')).status, 400);
});

t.test('ids may contain any characters', async (t) => {
  const externalId = 'a/b ?#%2F😀';
  await gateway.ingest(file, { accountId: 'a/c', externalId });
  const path = `/recordings/${encodeURIComponent('a/c')}/${encodeURIComponent(externalId)}`;
  t.match(await json(await gateway.v1(path)), { accountId: 'a/c', externalId });
});

t.test('if audio is rejected, the report says why, and no audio is kept', async (t) => {
  const before = (await stored(gateway.dataDir)).length;
  const form = new FormData();
  form.append('recording', JSON.stringify({ accountId: 'acct', externalId: 'bad', direction: 'inbound' }));
  form.append('audio', new Blob(['<html>please log in</html>']), 'call.wav');
  const response = await gateway.v1('/recordings', { method: 'POST', body: form });
  t.equal(response.status, 422);
  const problem = await json(response);
  t.match(problem, { code: 'refused_audio', report: { verdict: 'fail', codes: ['unsupported_container'] } });
  t.equal((await stored(gateway.dataDir)).length, before);
  t.match(await json(await gateway.v1('/recordings/acct/bad')), { playable: false, verdict: 'fail' });
  t.equal((await gateway.v1('/recordings/acct/bad/url', { method: 'POST' })).status, 404);
  t.equal((await gateway.ingest(file, { externalId: 'bad' })).status, 201, 'good audio may follow');
});

t.test('POST /v1/check returns the report and keeps nothing', async (t) => {
  const before = (await stored(gateway.dataDir)).length;
  const form = new FormData();
  form.append('recording', JSON.stringify({ channels: ['recipient', 'caller'] }));
  form.append('audio', new Blob([await readFile(join(fixtures, file))]), 'x.wav');
  const response = await gateway.v1('/check', { method: 'POST', body: form });
  t.equal(response.status, 200);
  t.match(await json(response), { verdict: 'fail', codes: ['swapped_channels'] });
  t.equal((await stored(gateway.dataDir)).length, before);
});

t.test('the message names the field at fault', async (t) => {
  const good = { accountId: 'a', externalId: 'b', direction: 'inbound' };
  const cases: [name: string, recording: unknown, message: RegExp][] = [
    ['no direction', { accountId: 'a', externalId: 'b' }, /The field direction is missing/],
    ['an unknown direction', { ...good, direction: 'sideways' }, /direction must be inbound or outbound/],
    ['an empty id', { ...good, externalId: '' }, /externalId/],
    ['an id too long', { ...good, externalId: 'x'.repeat(600) }, /externalId/],
    ['an id with NUL', { ...good, accountId: 'a\0' }, /accountId/],
    ['channels that name one role twice', { ...good, channels: ['caller', 'caller'] }, /channels/],
    ['an unknown profile', { ...good, profile: 'x' }, /profile/],
    ['an unknown field', { ...good, colour: 'red' }, /The field colour is not known/],
    ['no recording', undefined, /must be a JSON object/],
    ['a duration that is not a number', { ...good, call: { durationMs: '3' } }, /call\.durationMs/],
    ['a source beside the audio', { ...good, source: 'file:/x' }, /source/],
  ];
  for (const [name, recording, message] of cases) {
    const form = new FormData();
    if (recording) form.append('recording', JSON.stringify(recording));
    form.append('audio', new Blob(['x']), 'x.wav');
    const response = await gateway.v1('/recordings', { method: 'POST', body: form });
    t.equal(response.status, 400, name);
    t.match((await json(response)).detail, message, name);
  }
});

t.test('strict rejects and lenient accepts audio whose caller cannot be proved', async (t) => {
  const unproved = { channels: undefined, externalId: 'x' };
  const name = 'outbound-no-ringback.wav';
  const strict = await gateway.ingest(name, unproved);
  t.equal(strict.status, 422);
  t.match(await json(strict), { report: { verdict: 'inconclusive', codes: ['channel_assignment_unknown'] } });
  const lenient = await startGateway(t, { 'channel-policy': 'lenient' });
  const kept = await lenient.ingest(name, unproved);
  t.equal(kept.status, 201);
  t.match(await json(kept), { verdict: 'inconclusive', playable: true });
});

t.test('source: only files inside an allowed folder are accepted', async (t) => {
  const root = join(gateway.dataDir, 'allowed');
  await mkdir(root);
  await copyFile(join(fixtures, file), join(root, 'call 1.wav'));
  await writeFile(join(gateway.dataDir, 'outside.wav'), await readFile(join(fixtures, file)));
  await symlink(join(gateway.dataDir, 'outside.wav'), join(root, 'link.wav'));
  const sourced = await startGateway(t, { 'source-roots': root });
  const cases: [source: string, status: number, name: string][] = [
    [`file:${root}/call%201.wav`, 201, 'inside the folder'],
    [`file:${root}/../outside.wav`, 422, 'outside it'],
    [`file:${root}/%2e%2e/outside.wav`, 422, 'outside it, encoded'],
    [`file:${root}/link.wav`, 404, 'a link to the outside'],
    [`file:${root}/none.wav`, 404, 'missing'],
    ['file:///etc/passwd', 422, 'an absolute path'],
    ['file://host/share/call.wav', 422, 'on another host'],
    [`file:${root}/call%2F1.wav`, 422, 'an encoded slash'],
    [`file:${root}/call%zz.wav`, 422, 'a broken escape'],
    ['gopher://x/', 422, 'another scheme'],
  ];
  for (const [source, status, name] of cases) {
    const body = JSON.stringify({
      accountId: 'a',
      externalId: name,
      direction: 'inbound',
      channels: ['caller', 'recipient'],
      source,
    });
    const headers = { authorization: `Bearer ${sourced.apiKey}`, 'content-type': 'application/json' };
    const response = await fetch(`${sourced.url}/v1/recordings`, { method: 'POST', headers, body });
    t.equal(response.status, status, `${name}: ${response.status}`);
  }
});

t.test('an error names an unknown or wrong filter', async (t) => {
  const response = await gateway.v1('/recordings?verdikt=fail');
  t.equal(response.status, 400);
  t.match(await json(response), { code: 'invalid_request', detail: /the parameter verdikt is not known/ });
  const wrong = await gateway.v1('/recordings?limit=0');
  t.match(await json(wrong), { detail: /querystring\/limit must be >= 1/ });
});

t.test('an empty JSON body counts as no body', async (t) => {
  await gateway.ingest(file, { externalId: 'bodiless' });
  const headers = { 'content-type': 'application/json' };
  const path = '/recordings/acct/bodiless';
  t.equal((await gateway.v1(`${path}/url`, { method: 'POST', headers })).status, 200);
  t.equal((await gateway.v1(path, { method: 'DELETE', headers })).status, 204);
  const created = await gateway.v1('/recordings', { method: 'POST', headers });
  t.match(await json(created), { status: 400, detail: 'The recording must be a JSON object.' });
});

t.test('publish queues a recording, and only one with audio', async (t) => {
  // Nothing listens where HubSpot should be, so the job waits.
  const gateway = await startGateway(t, {
    'hubspot-app-id': '101',
    'hubspot-access-token': 'token',
    'hubspot-api-base': 'http://127.0.0.1:1',
  });
  const publish = (externalId: string) =>
    gateway.v1(`/recordings/acct/${externalId}/publish`, { method: 'POST' });
  await gateway.ingest(file, { externalId: 'to-publish' });
  const response = await publish('to-publish');
  t.equal(response.status, 202);
  t.match(await json(response), { state: 'waiting', steps: [{ name: 'log', state: 'waiting' }] });
  await gateway.ingest('inbound-caller2.wav', { externalId: 'rejected', channels: undefined });
  t.match(await json(await publish('rejected')), { code: 'refused_audio' });
  t.equal((await publish('unknown')).status, 404);
});
