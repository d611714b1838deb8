import type { IncomingMessage, ServerResponse } from 'node:http';
import t, { type Test } from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { S3Store } from '../../../src/origins/s3/s3.ts';
import { codeOf, pattern, readAll } from '../../contracts/origin.ts';
import { setEnvironment } from '../../environment.ts';
import { serve } from '../../servers/serve.ts';
import { until } from '../../until.ts';

// What a sound S3 server never does. s3-radosgw.test.ts has the rest, with a real server.

const bytes = pattern(100_000);
const etag = '"v1"';
const version = { etag, size: bytes.length };
const range = { first: 10, last: 4009 };

/** A status, or what happens to the connection. undefined is the right response. */
type Turn = number | 'reset' | 'silence' | undefined;

/** A server with one object under every key. `turn` decides on each request, counted from 1. */
async function setUp(
  t: Test,
  turn: (count: number, request: IncomingMessage, response: ServerResponse) => Turn,
  stallTimeoutMs = 10_000,
) {
  const requests: { method: string; signature: string; identity: string }[] = [];
  const { url: endpoint } = await serve(t, (request, response) => {
    request.resume();
    const query = new URL(request.url!, 'http://s3').searchParams;
    const identity = query.get('X-Amz-Credential')?.split('/')[0] ?? '';
    requests.push({ method: request.method!, signature: query.get('X-Amz-Signature') ?? '', identity });
    const now = turn(requests.length, request, response);
    if (now === 'reset') request.socket.resetAndDestroy();
    else if (now === 'silence') return;
    else if (now !== undefined)
      response.writeHead(now, { 'content-type': 'application/xml' }).end('<Error/>');
    else respond(request, response);
  });
  const store = new S3Store({
    bucket: 'bucket',
    endpoint,
    region: 'eu-central-1',
    forcePathStyle: true,
    stallTimeoutMs,
    metrics: createMetrics(),
  });
  t.teardown(() => store.close());
  const read = () =>
    readAll(store, 'a.wav', range, version).then(
      (got) => (got.equals(right) ? 'right' : 'wrong'),
      codeOfError,
    );
  return { store, requests, read };
}

const right = bytes.subarray(range.first, range.last + 1);
const codeOfError = (error: unknown) => codeOf(Promise.reject(error));

function respond({ method, headers }: IncomingMessage, response: ServerResponse): void {
  const common = { etag, 'last-modified': new Date(0).toUTCString() };
  const range = /bytes=(\d+)-(\d+)/.exec(headers.range ?? '');
  if (!range)
    return void response
      .writeHead(200, { ...common, 'content-length': bytes.length })
      .end(method === 'HEAD' ? '' : bytes);
  const [first, last] = [Number(range[1]), Number(range[2])];
  response.writeHead(206, { ...common, 'content-range': `bytes ${first}-${last}/${bytes.length}` });
  response.end(bytes.subarray(first, last + 1));
}

const key = { AWS_ACCESS_KEY_ID: 'testkey', AWS_SECRET_ACCESS_KEY: 'testsecret' };
const withoutKey = {
  AWS_ACCESS_KEY_ID: undefined,
  AWS_SECRET_ACCESS_KEY: undefined,
  AWS_EC2_METADATA_DISABLED: 'true',
};

t.test('responses to a range request, and their outcomes', async (t) => {
  setEnvironment(t, key);
  const table: [string, Turn[], string, number][] = [
    ['the range', [], 'right', 1],
    ['SlowDown twice', [503, 503], 'right', 3],
    ['an internal error', [500], 'right', 2],
    ['a reset before the first byte', ['reset'], 'right', 2],
    ['one reset after the other', ['reset', 'reset', 'reset'], 'right', 4],
    ['SlowDown every time', Array(9).fill(503), 'origin_unavailable', 4],
    ['resets every time', Array(9).fill('reset'), 'origin_unavailable', 4],
    ['silence: no second request, since the time is over', Array(9).fill('silence'), 'origin_unavailable', 1],
    ['another version', [412], 'version_changed', 1],
    ['nothing there', [404], 'not_found', 1],
    ['no permission', Array(9).fill(403), 'origin_failed', 1],
    ['another region', [301], 'origin_failed', 1],
  ];
  for (const [name, turns, outcome, count] of table) {
    const { read, requests } = await setUp(t, (n) => turns[n - 1], turns[0] === 'silence' ? 300 : 10_000);
    t.equal(await read(), outcome, `${name}: ${outcome}`);
    t.equal(requests.length, count, `after ${count} requests`);
  }
});

t.test('one signed URL serves every range until S3 rejects it', async (t) => {
  setEnvironment(t, key);
  let expired = '';
  const { read, requests } = await setUp(t, (n, { url }) => {
    if (n === 21) expired = url!;
    return url === expired ? 403 : undefined;
  });
  for (let i = 0; i < 20; i++) t.equal(await read(), 'right');
  t.equal(new Set(requests.map(({ signature }) => signature)).size, 1, 'twenty ranges by one signature');
  const second = Math.floor(Date.now() / 1000);
  await until(() => Math.floor(Date.now() / 1000) > second); // signatures differ by the second
  t.equal(await read(), 'right', 'rejected once, then signed anew');
  t.equal(requests.length, 22);
  t.equal(new Set(requests.map(({ signature }) => signature)).size, 2);
});

t.test('a clock that is off is corrected by S3’s', async (t) => {
  setEnvironment(t, key);
  const hour = 3_600_000;
  for (const ahead of [-2 * hour, -hour, 0, hour, 2 * hour]) {
    const { read, requests } = await setUp(t, (_, { url }, response) => {
      const now = Date.now() + ahead;
      response.setHeader('date', new Date(now).toUTCString());
      const signed = new URL(url!, 'http://s3').searchParams.get('X-Amz-Date')!;
      const at = Date.parse(signed.replace(/(....)(..)(..T..)(..)(..Z)/, '$1-$2-$3:$4:$5'));
      return at > now + hour / 4 || at + hour < now ? 403 : undefined;
    });
    for (let i = 0; i < 3; i++) t.equal(await read(), 'right', `S3 is ${ahead / hour} hours ahead`);
    t.ok(requests.length <= 4, 'rejected once at most');
  }
});

t.test('URLs are signed anew when the credentials change', async (t) => {
  const expiry = { soon: 240_000, later: 600_000 };
  let [issued, validFor] = [0, expiry.later];
  const credentials = await serve(t, (_, response) => {
    issued++;
    const Expiration = new Date(Date.now() + validFor).toISOString();
    response.end(
      JSON.stringify({ AccessKeyId: `key${issued}`, SecretAccessKey: 's', Token: `t${issued}`, Expiration }),
    );
  });
  setEnvironment(t, {
    ...withoutKey,
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `${credentials.url}/`,
  });

  const steady = await setUp(t, () => undefined);
  for (let i = 0; i < 3; i++) t.equal(await steady.read(), 'right');
  t.same(
    steady.requests.map(({ identity }) => identity),
    ['key1', 'key1', 'key1'],
  );

  validFor = expiry.soon; // so soon that the SDK requests new credentials each time
  const rotating = await setUp(t, () => undefined);
  for (let i = 0; i < 3; i++) t.equal(await rotating.read(), 'right');
  const used = rotating.requests.map(({ identity }) => identity);
  t.equal(new Set(used).size, 3, `each with the credentials of its time: ${used}`);
});

t.test('without credentials nothing is requested', async (t) => {
  setEnvironment(t, {
    ...withoutKey,
    AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
    AWS_CONFIG_FILE: '/dev/null',
  });
  const { store, read, requests } = await setUp(t, () => undefined);
  t.equal(await codeOf(store.stat('a.wav')), 'origin_unavailable');
  t.equal(await read(), 'origin_unavailable');
  t.equal(requests.length, 0);
});

t.test('responses to stat and write, and their outcomes', async (t) => {
  setEnvironment(t, key);
  const empty = async function* () {};
  const table: [string, Turn, string, string][] = [
    ['right', undefined, 'done', 'origin_failed'], // the object there is not the empty one that was written
    ['forbidden', 403, 'origin_failed', 'origin_failed'],
    ['not there', 404, 'not_found', 'not_found'],
    ['there already', 412, 'version_changed', 'conflict'],
    ['full', 507, 'storage_full', 'storage_full'],
    ['busy', 503, 'origin_unavailable', 'origin_unavailable'],
    ['resets', 'reset', 'origin_unavailable', 'origin_unavailable'],
  ];
  for (const [name, turn, onStat, onWrite] of table) {
    const { store } = await setUp(t, () => turn);
    t.equal(await store.stat('a.wav').then(() => 'done', codeOfError), onStat, `stat, ${name}: ${onStat}`);
    t.equal(await codeOf(store.write('a.wav', empty())), onWrite, `write, ${name}: ${onWrite}`);
  }
});
