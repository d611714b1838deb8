import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import { FileStore } from '../../src/origins/file/file.ts';
import { filesBelow } from '../files.ts';
import { fixtures, longRecording, startGateway } from '../gateway.ts';
import { until } from '../until.ts';

const file = 'inbound-caller1.wav';
const gateway = await startGateway(t);

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

/** The names of all files in the store, whole or being written. */
const stored = (dataDir: string) => filesBelow(join(dataDir, 'recordings'));

const offer = JSON.stringify({ accountId: 'a', externalId: 'broken', direction: 'inbound' });
const form = `--b\r\ncontent-disposition: form-data; name="recording"\r\n\r\n${offer}\r\n--b\r\ncontent-disposition: form-data; name="audio"; filename="x.wav"\r\n\r\n`;

t.test('forms out of order, without audio, or without JSON are rejected', async (t) => {
  const audioFirst = new FormData();
  audioFirst.append('audio', new Blob(['x']), 'x.wav');
  audioFirst.append('recording', '{}');
  const noAudio = new FormData();
  noAudio.append('recording', JSON.stringify({ accountId: 'a', externalId: 'b', direction: 'inbound' }));
  const notJson = new FormData();
  notJson.append('recording', '{');
  notJson.append('audio', new Blob(['x']), 'x.wav');
  const twice = new FormData();
  for (const _ of [1, 2]) twice.append('recording', '{}');
  twice.append('audio', new Blob(['x']), 'x.wav');
  for (const body of [noAudio, notJson, audioFirst, twice]) {
    const response = await gateway.v1('/recordings', { method: 'POST', body });
    t.equal(response.status, 400);
  }
  const text = await gateway.v1('/recordings', {
    method: 'POST',
    body: 'x',
    headers: { 'content-type': 'text/plain' },
  });
  t.equal(text.status, 415);
});

t.test('the part "recording" may have any type and file name', async (t) => {
  const audio = new Blob([await readFile(join(fixtures, file))]);
  const offer = (externalId: string) =>
    JSON.stringify({
      accountId: 'parts',
      externalId,
      direction: 'inbound',
      channels: ['caller', 'recipient'],
    });
  const cases: [name: string, content: string, type: string, fileName?: string][] = [
    ['as text', offer('text'), 'text/plain'],
    ['as JSON', offer('json'), 'application/json'],
    ['as JSON with a charset', offer('charset'), 'application/json; charset=utf-8'],
    ['as a file', offer('file'), 'application/json', 'recording.json'],
    ['as a file of no type', offer('untyped'), 'application/octet-stream', 'blob'],
  ];
  for (const [name, content, type, fileName] of cases) {
    const { status, body } = await post(content, type, fileName);
    t.equal(status, 201, `${name}: ${body}`);
  }
  const large = JSON.stringify({ call: { body: 'x'.repeat(1024 * 1024) } });
  for (const type of ['text/plain', 'application/json']) {
    for (const fileName of [undefined, 'recording.json']) {
      const name = `${type}, ${fileName ?? 'no file'}`;
      for (const content of [large, '{']) {
        const wrong = { status: 400, body: /must be valid JSON of at most 1 MB/ };
        t.match(await post(content, type, fileName), wrong, name);
      }
    }
  }

  async function post(content: string, type: string, fileName?: string) {
    const named = fileName ? `; filename="${fileName}"` : '';
    const parts = [
      `--b\r\ncontent-disposition: form-data; name="recording"${named}\r\ncontent-type: ${type}\r\n\r\n${content}\r\n`,
      '--b\r\ncontent-disposition: form-data; name="audio"\r\n\r\n',
      audio,
      '\r\n--b--\r\n',
    ];
    const response = await gateway.v1('/recordings', {
      method: 'POST',
      body: new Blob(parts),
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    return { status: response.status, body: await response.text() };
  }
});

t.test('malformed and incomplete forms get 400', async (t) => {
  const fresh = await startGateway(t);
  const recording = JSON.stringify({ accountId: 'a', externalId: 'b', direction: 'inbound' });
  const upToAudio = [
    '--b\r\ncontent-disposition: form-data; name="recording"\r\n',
    `${recording}\r\n--b\r\ncontent-disposition: form-data; name="audio"; filename="x.wav"\r\n`,
    'RIFF',
  ].join('\r\n');
  const cases: [name: string, type: string, body: string][] = [
    ['without a boundary', 'multipart/form-data', upToAudio],
    ['cut in the recording', 'multipart/form-data; boundary=b', upToAudio.slice(0, 80)],
    ['cut in the audio', 'multipart/form-data; boundary=b', upToAudio],
  ];
  for (const [name, type, body] of cases) {
    const response = await fresh.v1('/recordings', {
      method: 'POST',
      body,
      headers: { 'content-type': type },
    });
    t.equal(response.status, 400, name);
    t.match(await json(response), { code: 'invalid_request' }, name);
  }
  t.same(await stored(fresh.dataDir), []);
});

t.test('audio beyond the limit is rejected while it arrives', async (t) => {
  const small = await startGateway(t, { 'max-audio-size': '64KB' });
  const response = await small.ingest(file);
  t.equal(response.status, 413);
  t.same(await stored(small.dataDir), []);
});

t.test('an aborted upload leaves nothing', async (t) => {
  const fresh = await startGateway(t);
  const socket = send(fresh, `${form}${'x'.repeat(300_000)}`);
  t.ok(await until(async () => (await stored(fresh.dataDir)).length === 1), 'it has begun');
  socket.destroy();
  const pendingKeys = () => fresh.parts.db.kysely.selectFrom('uploads').select('key').execute();
  await until(async () => (await pendingKeys()).length === 0);
  t.same(await stored(fresh.dataDir), []);
  t.same(await pendingKeys(), []);
});

t.test('a sender that stands still is disconnected, whatever it was sending', async (t) => {
  const impatient = await startGateway(t, { 'stall-timeout': '300ms' });
  const anonymous = { ...impatient, apiKey: 'none' };
  const cases: [name: string, from: typeof anonymous, sent: string, type?: string, path?: string][] = [
    ['a form in its audio', impatient, form],
    ['a form before its audio', impatient, form.slice(0, 40)],
    ['JSON', impatient, '{', 'application/json'],
    ['JSON to an unknown route', anonymous, '{', 'application/json', '/nothing'],
    ['a form, after it was rejected', impatient, form.replace('inbound', 'sideways')],
  ];
  for (const [name, from, sent, type, path] of cases) {
    const socket = send(from, sent, type, path).resume();
    t.ok(await until(() => socket.closed), name);
  }
});

t.test('a sender may wait for a slow store, but not stand still itself', async (t) => {
  const { write } = FileStore.prototype;
  t.teardown(() => {
    FileStore.prototype.write = write;
  });
  let waited = false;
  FileStore.prototype.write = function (key, bytes, signal) {
    return write.call(this, key, slowly(bytes), signal);
  };
  async function* slowly(bytes: AsyncIterable<Uint8Array>) {
    for await (const chunk of bytes) {
      if (!waited) await sleep(5000);
      waited = true;
      yield chunk;
    }
  }
  const impatient = await startGateway(t, { 'stall-timeout': '3s' });
  const recording = await longRecording(8); // more than the sockets hold between them
  t.equal((await impatient.ingest(recording)).status, 201);

  waited = false;
  const socket = send(impatient, form + 'x'.repeat(900_000)).resume();
  t.ok(await until(() => socket.closed), 'a sender that stands still afterwards');
  t.ok(waited);
});

t.test('a client that sends half a request, or reads no response, is disconnected', async (t) => {
  const impatient = await startGateway(t, { 'stall-timeout': '300ms' });
  const { hostname, port } = new URL(impatient.url);
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
  for (const half of ['', 'GET /healthz HTTP/1.1\r\nho']) {
    const socket = connect(Number(port), hostname)
      .on('error', () => {})
      .resume();
    socket.write(half);
    t.ok(await until(() => socket.closed), half);
  }
  const connected = once(impatient.app.server, 'connection');
  const client = connect(Number(port), hostname).on('error', () => {});
  t.teardown(() => client.destroy());
  client.write(request('/docs/static/swagger-ui-bundle.js').repeat(30)); // more than the sockets hold
  const connections = promisify(impatient.app.server.getConnections.bind(impatient.app.server));
  await connected;
  t.ok(await until(async () => (await connections()) === 0), 'a client that reads no response');
});

t.test('a sender may wait for a check longer than it may stand still', async (t) => {
  const impatient = await startGateway(t, { 'stall-timeout': '3s', 'source-roots': fixtures });
  const { checkPool } = impatient.parts;
  const { check } = checkPool;
  checkPool.check = async (...args) => {
    await sleep(5000);
    return check.apply(checkPool, args);
  };
  const source = {
    accountId: 'acct',
    externalId: 'source',
    direction: 'inbound',
    channels: ['caller', 'recipient'],
    source: `file:${join(fixtures, file)}`,
  };
  const asJson = {
    method: 'POST',
    body: JSON.stringify(source),
    headers: { 'content-type': 'application/json' },
  };
  const responses = await Promise.all([impatient.ingest(file), impatient.v1('/recordings', asJson)]);
  t.same(
    responses.map(({ status }) => status),
    [201, 201],
  );
});

/** Sends a request that announces a body of a megabyte, and only `sent` of that body. */
function send(
  { url, apiKey }: { url: string; apiKey: string },
  sent: string,
  type = 'multipart/form-data; boundary=b',
  path = '/v1/recordings',
) {
  const { hostname, port } = new URL(url);
  const head = [
    `POST ${path} HTTP/1.1`,
    'host: x',
    `authorization: Bearer ${apiKey}`,
    `content-type: ${type}`,
    'content-length: 1000000',
  ].join('\r\n');
  const socket = connect(Number(port), hostname).on('error', () => {});
  socket.write(`${head}\r\n\r\n${sent}`);
  return socket;
}
