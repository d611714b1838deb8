import t from 'tap';
import { examine } from '../../src/doctor/doctor.ts';
import { cors, etag, type Fault, lastModified, type Reply, recording, startEndpoint } from './endpoint.ts';

// Most of these faults were found in published recording, file and S3 proxies.

/** Reads a Range field that matches `pattern` as `as`. Without `as` the field is ignored. */
function misreadRange(pattern: RegExp, as?: string): Fault {
  return {
    misread: (headers) => {
      if (headers.range && pattern.test(headers.range)) headers.range = as;
    },
  };
}

/** Alters replies with this status. */
function altered(status: number, alter: (reply: Reply) => void): Fault {
  return { alter: (reply) => void (reply.status === status && alter(reply)) };
}

function respondWith(reply: Reply, status: number): void {
  Object.assign(reply, { status, headers: { ...cors, etag }, body: Buffer.alloc(0) });
}

const every = [
  'range-open',
  'range-one-byte',
  'range-first',
  'range-middle',
  'range-rest',
  'range-suffix',
  'range-long-suffix',
  'range-clamped',
  'range-unit-case',
  'range-unsatisfiable',
  'if-range-same',
];

const faults: [name: string, fault: Fault, expected: string[]][] = [
  ['bytes=0- returns the whole', misreadRange(/^bytes=0-$/), ['range-open']],
  ['bytes=0-0 returns the whole', misreadRange(/^bytes=0-0$/), ['range-one-byte']],
  ['suffixes ignored', misreadRange(/^bytes=-\d+$/), ['range-suffix', 'range-long-suffix']],
  ['a long suffix unsatisfiable', misreadRange(/^bytes=-301000$/, 'bytes=-0'), ['range-long-suffix']],
  [
    'the last position not clamped',
    misreadRange(/-301000$/, 'bytes=-0'),
    ['range-long-suffix', 'range-clamped'],
  ],
  [
    '416 without Content-Range',
    altered(416, ({ headers }) => delete headers['content-range']),
    ['range-unsatisfiable'],
  ],
  ['404 instead of 416', altered(416, (reply) => respondWith(reply, 404)), ['range-unsatisfiable']],
  ['ranges ignored for octet-stream', misreadRange(/./), every],
  [
    'If-Range ignored',
    { misread: (headers) => delete headers['if-range'] },
    ['if-range-other', 'if-range-weak', 'if-range-date'],
  ],
  [
    'If-Range compared weakly',
    {
      misread: (headers) => {
        headers['if-range'] = headers['if-range']?.toString().replace('W/', '');
        if (headers['if-range'] === undefined) delete headers['if-range'];
      },
    },
    ['if-range-weak'],
  ],
  [
    'If-Range with a date compared for order',
    {
      misread: (headers) => {
        if (Date.parse(`${headers['if-range']}`) >= lastModified.getTime()) delete headers['if-range'];
      },
    },
    ['if-range-date'],
  ],
  ['several ranges return 416', misreadRange(/^bytes=0-0,-1$/, 'bytes=-0'), ['range-several']],
  [
    'If-Modified-Since applied beside If-None-Match',
    { misread: (headers) => headers['if-modified-since'] && delete headers['if-none-match'] },
    ['etag-before-date'],
  ],
  [
    'Range applied to HEAD',
    {
      alter: ({ headers }, _, method) =>
        method === 'HEAD' && Object.assign(headers, { 'content-length': '1' }),
    },
    ['head'],
  ],
  ['BYTES= ignored', misreadRange(/^BYTES/), ['range-unit-case']],
  ['a malformed range applied', misreadRange(/junk/, 'bytes=0-3'), ['range-malformed']],
  [
    'overlapping ranges sent one by one',
    {
      alter: (reply, { range = '' }) => {
        const count = range.split(',').length;
        if (count < 3) return;
        reply.body = Buffer.concat(Array<Buffer>(count).fill(recording));
        reply.headers = { ...cors, etag };
      },
    },
    ['range-overlapping'],
  ],
  ['a weak ETag', { alter: ({ headers }) => Object.assign(headers, { etag: 'W/"v1"' }) }, ['etag']],
  ['no ETag', { alter: ({ headers }) => delete headers.etag }, ['etag']],
  ['another ETag on 206', altered(206, ({ headers }) => Object.assign(headers, { etag: '"v2"' })), ['etag']],
  [
    'a range cut short with a clean end',
    {
      alter: (reply, { range }) => {
        if (range !== 'bytes=150000-') return;
        delete reply.headers['content-length'];
        reply.body = reply.body.subarray(0, -1);
      },
    },
    ['range-rest'],
  ],
  [
    'bytes of another version in a range',
    { alter: (reply, { range }) => range === 'bytes=150000-' && reply.body.fill(0, 90_000) },
    ['range-rest'],
  ],
  [
    'audio/wav',
    altered(200, ({ headers }) => Object.assign(headers, { 'content-type': 'audio/wav' })),
    ['octet-stream'],
  ],
  ['no Content-Length', altered(200, ({ headers }) => delete headers['content-length']), ['length', 'head']],
  ['no Accept-Ranges', altered(200, ({ headers }) => delete headers['accept-ranges']), ['accept-ranges']],
  [
    'a content coding',
    altered(200, ({ headers }) => Object.assign(headers, { 'content-encoding': 'gzip' })),
    ['length'],
  ],
  [
    'a body that breaks off',
    {
      alter: (reply, { range }, method) => {
        if (method === 'GET' && range === undefined) reply.headers['content-length'] = recording.length + 1;
      },
    },
    ['whole'],
  ],
  [
    'an empty response',
    altered(200, (reply) => Object.assign(reply, { headers: {}, body: '' })),
    ['octet-stream', 'length', 'whole', 'accept-ranges'],
  ],
  [
    'a redirect',
    altered(200, (reply) => Object.assign(reply, { status: 302, headers: { location: '/login' } })),
    ['stream-direct'],
  ],
  ['a login', altered(200, (reply) => Object.assign(reply, { status: 401 })), ['stream-direct']],
  [
    '304 never sent',
    { misread: (headers) => delete headers['if-none-match'] },
    ['not-modified', 'etag-before-date'],
  ],
  ['no CORS', altered(206, ({ headers }) => delete headers['access-control-allow-origin']), ['cors-allow']],
  [
    'no exposed headers',
    altered(206, ({ headers }) => delete headers['access-control-expose-headers']),
    ['cors-expose'],
  ],
  ['no preflight', altered(204, (reply) => respondWith(reply, 405)), ['cors-preflight']],
];

t.test('an endpoint with one fault fails its requirement and no other', async (t) => {
  for (const [name, fault, expected] of faults) {
    const origin = await startEndpoint(t, fault);
    const { requirements, met } = await examine({ url: `${origin}/stream/x`, timeoutMs: 5000 });
    const unmet = requirements.filter((requirement) => requirement.met === false);
    t.same(
      unmet.map(({ id }) => id),
      expected,
      `${name} → ${expected}`,
    );
    t.equal(met, false, 'the diagnosis is not met');
    t.ok(
      unmet.every(({ repair }) => repair !== undefined),
      'each with its repair',
    );
  }
});
