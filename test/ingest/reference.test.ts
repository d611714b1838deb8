import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { filesBelow } from '../files.ts';
import { fixtures, startGateway } from '../gateway.ts';
import { serve } from '../servers/serve.ts';

/** A vendor with one recording, which a test replaces by other audio with another ETag. It requires a token. */
async function startVendor(t: Test, audio: Buffer) {
  const recording = { audio, etag: '"v1"' };
  const { url } = await serve(t, ({ headers }, response) => {
    if (headers.authorization !== 'Bearer secret') return response.writeHead(401).end();
    const { audio, etag } = recording;
    if (headers['if-match'] !== undefined && headers['if-match'] !== etag)
      return response.writeHead(412).end();
    const [first, last] = /(\d+)-(\d+)/
      .exec(headers.range ?? '')
      ?.slice(1)
      .map(Number) ?? [0, audio.length - 1];
    const part = audio.subarray(first, last! + 1);
    const range = `bytes ${first}-${first! + part.length - 1}/${audio.length}`;
    response.writeHead(206, { etag, 'content-range': range, 'content-length': part.length }).end(part);
  });
  return { recording, host: new URL(url).host, source: `${url}/call.wav` };
}

t.test('audio by reference plays from where it is, and never as other audio', async (t) => {
  const audio = await readFile(join(fixtures, 'inbound-caller1.wav'));
  const other = await readFile(join(fixtures, 'wav-pcm16.wav'));
  const { recording, host, source } = await startVendor(t, audio);
  const settings = { 'source-hosts': host, 'source-credentials': `${host}=bearer:secret` };
  const gateway = await startGateway(t, settings);
  const refer = (more: object = {}) => {
    const call = {
      accountId: 'acct',
      externalId: '1',
      direction: 'inbound',
      channels: ['caller', 'recipient'],
    };
    const body = JSON.stringify({ ...call, source, mode: 'proxy', ...more });
    return gateway.v1('/recordings', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
  };
  const share = async () => {
    const response = await gateway.v1('/recordings/acct/1/url', { method: 'POST' });
    return ((await response.json()) as { authenticatedUrl: string }).authenticatedUrl;
  };
  const bytesOf = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());

  t.equal((await refer()).status, 201);
  t.same(await filesBelow(join(gateway.dataDir, 'recordings')), [], 'nothing is copied');
  const url = await share();
  t.ok((await bytesOf(url)).equals(audio));
  t.equal((await refer()).status, 200, 'the same audio again');

  recording.audio = other;
  recording.etag = '"v2"';
  const fresh = await startGateway(t, { ...settings, 'data-dir': gateway.dataDir }); // its cache is empty
  const response = await fetch(url.replace(gateway.url, fresh.url));
  t.match(await response.json(), { code: 'version_changed' });
  t.ok((await bytesOf(url)).equals(audio), 'what is cached is still the audio of the recording');

  t.equal((await refer()).status, 409, 'other audio conflicts');
  t.equal((await refer({ replace: true })).status, 200);
  t.equal((await fetch(url)).status, 401, 'the old URL is dead');
  t.ok((await bytesOf(await share())).equals(other));
});

t.test('a credential that is not one stops the start', async (t) => {
  for (const credential of [
    'vendor.example',
    'vendor.example=secret',
    '=bearer:x',
    'vendor.example=bearer:',
  ]) {
    await t.rejects(startGateway(t, { 'source-credentials': credential }), {
      message: /^PLAYHEAD_SOURCE_CREDENTIALS must list entries/,
    });
  }
});
