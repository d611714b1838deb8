import { createHmac, randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import t from 'tap';
import { clock } from './clock.ts';
import { longRecording, startGateway } from './gateway.ts';
import { rawRequest } from './raw.ts';

const file = 'inbound-caller1.mp4';
const gateway = await startGateway(t);
const url = await gateway.streamOf(file, { externalId: 'one' });
const otherUrl = await gateway.streamOf(file, { externalId: 'two' });
const token = tokenOf(url);
const [head = '', claims = '', signature = ''] = token.split('.');

function tokenOf(streamUrl: string): string {
  return streamUrl.slice(streamUrl.lastIndexOf('/') + 1);
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}

function signed(header: object, payload: object, key: string | Buffer): string {
  const body = `${encode(header)}.${encode(payload)}`;
  return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
}

const header = decode(head);
const payload = decode(claims);
const altered = (text: string) => `${text.slice(0, 5)}${text[5] === 'A' ? 'B' : 'A'}${text.slice(6)}`;

const forged: [name: string, token: string][] = [
  ['empty signature', `${head}.${claims}.`],
  ['altered claims', `${head}.${encode({ ...payload, sub: 'acct/two' })}.${signature}`],
  ['altered header', `${encode({ ...header, kid: 'other' })}.${claims}.${signature}`],
  ['altered signature', `${head}.${claims}.${altered(signature)}`],
  ['another recording’s signature', `${head}.${claims}.${tokenOf(otherUrl).split('.')[2]}`],
  ['alg none', `${encode({ ...header, alg: 'none' })}.${claims}.`],
  ['alg none, signature kept', `${encode({ ...header, alg: 'none' })}.${claims}.${signature}`],
  ['another key', signed(header, payload, randomBytes(32))],
  ['an empty key', signed(header, payload, '')],
  ['the kid as the key', signed(header, payload, String(header.kid))],
  ['a later expiry', `${head}.${encode({ ...payload, exp: 9_999_999_999 })}.${signature}`],
  ['not a token', 'nonsense'],
  ['dots', '...'],
  ['4,000 characters', 'x'.repeat(4000)],
];
for (const [name, forgery] of forged) {
  t.test(`forged token, ${name}: 401 and no audio`, async (t) => {
    const response = await rawRequest(`${gateway.url}/stream/${forgery}`);
    t.equal(response.status, 401);
    t.match(JSON.parse(response.body.toString()), { code: 'invalid_token', status: 401 });
  });
}

t.test('a token is valid for its own recording', async (t) => {
  t.equal(decode(tokenOf(otherUrl).split('.')[1]!).sub, 'acct/two');
  t.equal((await fetch(otherUrl)).status, 200);
});

t.test('an expired token gets 401, even if it was verified before', async (t) => {
  const putForward = clock(t);
  const fresh = await startGateway(t, { 'token-ttl': '1h' });
  const verified = await fresh.streamOf(file);
  const unverified = await fresh.streamOf(file, { externalId: 'unverified' });
  t.equal((await fetch(verified)).status, 200);
  putForward(3_600_000);
  t.equal((await fetch(verified)).status, 401);
  t.equal((await fetch(unverified)).status, 401);
});

t.test('URLs survive the rotation of their key, but not its retirement', async (t) => {
  const ring = await startGateway(t);
  const before = await ring.streamOf(file);
  const { kid } = decode(tokenOf(before).split('.')[0]!);
  await ring.parts.tokens.rotate();
  const after = await ring.streamOf(file, { externalId: 'after' });
  t.not(decode(tokenOf(after).split('.')[0]!).kid, kid, 'the new key signs');
  t.equal((await fetch(before)).status, 200);
  await ring.parts.tokens.retire(String(kid));
  t.equal((await fetch(before)).status, 401);
  t.equal((await fetch(after)).status, 200);
});

t.test('revocation of one token, one recording, one account', async (t) => {
  const { tokens } = gateway.parts;
  const streamOf = (accountId: string, externalId: string) =>
    gateway.streamOf(file, { accountId, externalId });
  const first = await streamOf('r', '1');
  const again = await streamOf('r', '1');
  const second = await streamOf('r', '2');
  const elsewhere = await streamOf('s', '1');
  const statuses = async () =>
    Promise.all([first, again, second, elsewhere].map(async (url) => (await fetch(url)).status));
  t.same(await statuses(), [200, 200, 200, 200]);
  await tokens.revoke({ token: tokenOf(first) });
  t.same(await statuses(), [401, 200, 200, 200]);
  await tokens.revoke({ accountId: 'r', externalId: '1' });
  t.same(await statuses(), [401, 401, 200, 200]);
  await tokens.revoke({ accountId: 'r' });
  t.same(await statuses(), [401, 401, 401, 200]);
});

const keys: [name: string, authorization: string | undefined][] = [
  ['no key', undefined],
  ['a wrong key', 'Bearer wrong'],
  ['another scheme', `Basic ${gateway.apiKey}`],
  ['a shorter key', `Bearer ${gateway.apiKey.slice(1)}`],
  ['a stream’s token', `Bearer ${token}`],
];
for (const [name, authorization] of keys) {
  for (const path of ['/v1/recordings', '/v1/recordings/acct/one', '/v1/check']) {
    t.test(`${path} with ${name} gets 401`, async (t) => {
      const method = path.endsWith('check') ? 'POST' : 'GET';
      const response = await fetch(gateway.url + path, {
        method,
        headers: authorization ? { authorization } : {},
      });
      t.equal(response.status, 401);
      t.equal(response.headers.get('www-authenticate'), 'Bearer');
    });
  }
}

const hostile: [name: string, target: string][] = [
  ['dots in the path', '/stream/../../etc/passwd'],
  ['encoded dots', '/stream/%2e%2e%2f%2e%2e%2fetc%2fpasswd'],
  ['NUL', '/stream/a%00b'],
  ['a broken escape', '/stream/%zz'],
  ['encoded slashes', '/stream/a%2fb'],
  ['8 KB of path', `/stream/${'a'.repeat(8192)}`],
  ['a request line of 40 KB', `/stream/${'a'.repeat(40_000)}`],
  ['an absolute target', 'http://elsewhere.example/stream/x'],
];
for (const [name, target] of hostile) {
  t.test(`${name}: 4xx`, async (t) => {
    const { status } = await rawRequest(gateway.url, { target });
    t.ok(status >= 400 && status < 500, `${status}`);
  });
}

t.test('3,000 headers: 4xx', async (t) => {
  const many = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`x-${index}`, 'y']));
  const { status } = await rawRequest(url, { headers: many });
  t.ok(status >= 400 && status < 500, `${status}`);
});

t.test('a request that cannot be read as HTTP gets a problem', async (t) => {
  const rejected = [
    ['headers of 20 KB', { headers: { x: 'a'.repeat(20_000) } }, 431, 'headers_too_large'],
    [
      'both content-length and transfer-encoding',
      { headers: { 'content-length': '5', 'transfer-encoding': 'chunked' } },
      400,
      'invalid_request',
    ],
  ] as const;
  for (const [name, request, status, code] of rejected) {
    const response = await rawRequest(gateway.url, { method: 'POST', ...request });
    t.equal(response.status, status, name);
    t.equal(response.headers['content-type'], 'application/problem+json', name);
    t.match(JSON.parse(response.body.toString()), { status, code }, name);
  }
});

t.test('bytes that are not HTTP add nothing to the response that is being sent', async (t) => {
  const whole = await longRecording(24);
  const { hostname, port, pathname } = new URL(await gateway.streamOf(whole));
  const received: Buffer[] = [];
  const socket = connect(Number(port), hostname).on('error', () => {});
  socket.write(`GET ${pathname} HTTP/1.1\r\nhost: x\r\n\r\n`);
  socket
    .once('data', () => socket.write('no HTTP\r\n\r\n'))
    .on('data', (chunk: Buffer) => received.push(chunk));
  await new Promise((resolve) => socket.once('close', resolve));
  const all = Buffer.concat(received);
  const body = all.subarray(all.indexOf('\r\n\r\n') + 4);
  t.ok(body.length > 0 && body.length < whole.length, 'the response is cut off');
  t.ok(body.equals(whole.subarray(0, body.length)), 'and has only bytes of the recording');
});

t.test('a 5xx does not reveal its cause', async (t) => {
  const broken = await startGateway(t);
  const streamUrl = await broken.streamOf(file);
  broken.parts.origins.store.read = () => Promise.reject(new Error('secret path /var/lib/x'));
  const response = await fetch(streamUrl);
  t.equal(response.status, 500);
  t.notMatch(await response.text(), /secret path/);
});
