import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { fixtures, startGateway } from '../gateway.ts';
import { rawRequest } from '../raw.ts';

const file = 'inbound-caller1.wav';
const whole = await readFile(join(fixtures, file));
const size = whole.length;
const gateway = await startGateway(t);
const url = await gateway.streamOf(file);
const { headers: known } = await rawRequest(url, { method: 'HEAD' });
const etag = known.etag!;
const modified = known['last-modified']!;
const later = new Date(Date.parse(modified) + 60_000).toUTCString();
const earlier = new Date(Date.parse(modified) - 60_000).toUTCString();

interface Case {
  name: string;
  method?: string;
  headers?: Record<string, string>;
  status: number;
  range?: [first: number, last: number];
  body?: Buffer;
}

const last = size - 1;
const wholeBody = { status: 200, body: whole };
const nothing = Buffer.alloc(0);

/** Each number stands for a mistake that public proxies make. */
const cases: Case[] = [
  {
    name: '1: bytes=0- is 206 with Content-Range',
    headers: { range: 'bytes=0-' },
    status: 206,
    range: [0, last],
  },
  { name: '2: bytes=0-0 is one byte', headers: { range: 'bytes=0-0' }, status: 206, range: [0, 0] },
  {
    name: '3: a suffix is the last bytes',
    headers: { range: 'bytes=-500' },
    status: 206,
    range: [size - 500, last],
  },
  {
    name: '3: a suffix beyond the size is the whole, 206',
    headers: { range: `bytes=-${size + 1}` },
    status: 206,
    range: [0, last],
  },
  { name: '3: bytes=-0 is unsatisfiable', headers: { range: 'bytes=-0' }, status: 416 },
  {
    name: '4: a last position past the end is clamped',
    headers: { range: 'bytes=100-999999999' },
    status: 206,
    range: [100, last],
  },
  {
    name: '5: a first position at the end is 416 with the size',
    headers: { range: `bytes=${size}-` },
    status: 416,
  },
  {
    name: '6: the whole as one range is not too large',
    headers: { range: `bytes=0-${last}` },
    status: 206,
    range: [0, last],
  },
  {
    name: '7: an octet-stream supports ranges',
    headers: { range: 'bytes=44-1043' },
    status: 206,
    range: [44, 1043],
  },
  {
    name: '8: If-Range with the validator is 206',
    headers: { range: 'bytes=5-9', 'if-range': etag },
    status: 206,
    range: [5, 9],
  },
  {
    name: '8: If-Range with another validator is the whole',
    headers: { range: 'bytes=5-9', 'if-range': '"other"' },
    ...wholeBody,
  },
  {
    name: '9: If-Range never compares weakly',
    headers: { range: 'bytes=5-9', 'if-range': `W/${etag}` },
    ...wholeBody,
  },
  {
    name: '9: If-Range never compares parts of a tag',
    headers: { range: 'bytes=5-9', 'if-range': `${etag.slice(0, -2)}"` },
    ...wholeBody,
  },
  {
    name: '9: If-Range with a later date is the whole',
    headers: { range: 'bytes=5-9', 'if-range': later },
    ...wholeBody,
  },
  {
    name: '11: If-None-Match overrides If-Modified-Since',
    headers: { 'if-none-match': '"other"', 'if-modified-since': later },
    ...wholeBody,
  },
  {
    name: '11: If-Modified-Since alone counts',
    headers: { 'if-modified-since': modified },
    status: 304,
    body: nothing,
  },
  {
    name: '14: HEAD ignores Range',
    method: 'HEAD',
    headers: { range: 'bytes=0-9' },
    status: 200,
    body: nothing,
  },
  { name: '15: the unit is case-insensitive', headers: { range: 'BYTES=0-3' }, status: 206, range: [0, 3] },
  { name: '15: a malformed set is ignored as a whole', headers: { range: 'bytes=0-3junk' }, ...wholeBody },
  { name: '15: an unknown unit is ignored', headers: { range: 'seconds=0-3' }, ...wholeBody },
  {
    name: 'If-None-Match with the tag is 304',
    headers: { 'if-none-match': `"x", W/${etag}` },
    status: 304,
    body: nothing,
  },
  {
    name: 'If-Match with another tag is 412',
    headers: { 'if-match': '"other"' },
    status: 412,
    body: nothing,
  },
  { name: 'If-Match with * passes', headers: { 'if-match': '*' }, ...wholeBody },
  {
    name: 'If-Unmodified-Since with an earlier date is 412',
    headers: { 'if-unmodified-since': earlier },
    status: 412,
    body: nothing,
  },
  {
    name: 'a precondition is evaluated before the range',
    headers: { 'if-none-match': etag, range: 'bytes=0-0' },
    status: 304,
    body: nothing,
  },
];

for (const { name, method = 'GET', headers = {}, status, range, body } of cases) {
  t.test(name, async (t) => {
    const response = await rawRequest(url, { method, headers });
    t.equal(response.status, status);
    t.equal(response.headers.etag, etag, '17: one strong ETag on every status');
    t.equal(response.headers['accept-ranges'], 'bytes');
    const expected = range ? whole.subarray(range[0], range[1] + 1) : (body ?? nothing);
    t.ok(
      response.body.equals(expected),
      `the body has the expected ${expected.length} bytes: ${response.body.length}`,
    );
    const contentRange = range
      ? `bytes ${range[0]}-${range[1]}/${size}`
      : status === 416
        ? `bytes */${size}`
        : undefined;
    t.equal(response.headers['content-range'], contentRange);
    if (status === 200) t.equal(response.headers['content-length'], String(size));
    if (status === 206) t.equal(response.headers['content-length'], String(expected.length));
  });
}

t.test('10: several ranges are sent as multipart/byteranges, each part whole', async (t) => {
  const response = await rawRequest(url, { headers: { range: 'bytes=0-9, 100-109, -5' } });
  t.equal(response.status, 206);
  t.equal(response.headers['content-length'], String(response.body.length));
  const boundary = /^multipart\/byteranges; boundary=(.+)$/.exec(response.headers['content-type']!)?.[1];
  const parts = response.body.toString('latin1').split(`--${boundary}`).slice(1, -1);
  const expected = [
    [0, 9],
    [100, 109],
    [size - 5, last],
  ] as const;
  t.equal(parts.length, expected.length);
  for (const [index, [from, to]] of expected.entries()) {
    const [head = '', content] = parts[index]!.split('\r\n\r\n');
    t.match(head.toLowerCase(), `content-range: bytes ${from}-${to}/${size}`);
    t.match(head.toLowerCase(), 'content-type: application/octet-stream');
    t.equal(content, `${whole.subarray(from, to + 1).toString('latin1')}\r\n`);
  }
});

t.test('16: hundreds of overlapping ranges send no more than the file', async (t) => {
  const range = `bytes=${Array.from({ length: 600 }, (_, index) => `${index}-`).join(',')}`;
  const response = await rawRequest(url, { headers: { range } });
  t.ok(response.body.length <= size + 1024, `${response.body.length} bytes for a file of ${size}`);
});

t.test('the headers mark a download, and allow any page to play it', async (t) => {
  const { headers } = await rawRequest(url);
  t.match(headers, {
    'content-type': 'application/octet-stream',
    'cache-control': 'private, no-transform',
    'content-disposition': `attachment; filename="${file}.wav"; filename*=UTF-8''${file}.wav`,
    'access-control-allow-origin': '*',
    'access-control-expose-headers': 'Accept-Ranges, Content-Length, Content-Range, ETag',
    'cross-origin-resource-policy': 'cross-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  t.match(etag, /^"[0-9a-f]{64}"$/, 'the ETag is strong');
  for (const name of [
    'content-encoding',
    'transfer-encoding',
    'access-control-allow-credentials',
    'set-cookie',
  ]) {
    t.notOk(headers[name], `no ${name}`);
  }
});

t.test('a preflight allows Range and If-Range', async (t) => {
  const response = await rawRequest(url, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.hubspot.com',
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'range, if-range',
    },
  });
  t.equal(response.status, 204);
  t.match(response.headers['access-control-allow-headers'], /\bRange, If-Range\b/);
  t.equal(response.headers['access-control-allow-origin'], '*');
});

t.test('a page of another origin can read an error', async (t) => {
  const response = await rawRequest(`${gateway.url}/stream/nonsense`);
  t.equal(response.status, 401);
  t.equal(response.headers['access-control-allow-origin'], '*');
  t.equal(response.headers['content-type']?.split(';')[0], 'application/problem+json');
  t.equal(JSON.parse(response.body.toString()).code, 'invalid_token');
});

t.test('a recording that one process has replaced is served by the others at once', async (t) => {
  const one = await startGateway(t);
  const other = await startGateway(t, { 'data-dir': one.dataDir });
  const old = new URL(await one.streamOf(file)).pathname;
  for (const { url } of [one, other]) t.equal((await rawRequest(url + old)).status, 200, 'it is cached');

  const flac = 'inbound-caller1.flac';
  const replacing = { externalId: file, replace: true };
  const fresh = new URL(await one.streamOf(flac, replacing)).pathname;
  const retrieval = await rawRequest(
    `${other.url}/k/${other.parts.apiKeys.accessKey}/retrieve/authenticated/recordings/${file}?externalAccountId=acct`,
  );
  const retrieved = new URL(JSON.parse(retrieval.body.toString()).authenticatedUrl).pathname;
  for (const [name, url] of Object.entries({ replaced: other.url + fresh, retrieved: one.url + retrieved })) {
    const { status, body } = await rawRequest(url);
    t.equal(status, 200, `a URL that one process has ${name}, at the other`);
    t.ok(body.equals(await readFile(join(fixtures, flac))));
  }
});
