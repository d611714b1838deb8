import t from 'tap';
import { examine } from '../../src/doctor/doctor.ts';
import { cors, etag, type Fault, lastModified, type Reply, recording, serve } from '../servers/recording.ts';

// A number in parentheses is that of a mistake which public recording, file and S3 proxies shipped.

/** Range fields that `pattern` matches are read as `as`, or not at all. */
function rangeRead(pattern: RegExp, as?: string): Fault {
  return {
    misread: (headers) => {
      if (headers.range && pattern.test(headers.range)) headers.range = as;
    },
  };
}

/** Replies with `status` are spoilt. */
function spoilt(status: number, spoil: (reply: Reply) => void): Fault {
  return { spoil: (reply) => void (reply.status === status && spoil(reply)) };
}

function answering(reply: Reply, status: number): void {
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
  ['bytes=0- answered with the whole (1)', rangeRead(/^bytes=0-$/), ['range-open']],
  ['bytes=0-0 answered with the whole (2)', rangeRead(/^bytes=0-0$/), ['range-one-byte']],
  ['suffixes ignored (3)', rangeRead(/^bytes=-\d+$/), ['range-suffix', 'range-long-suffix']],
  ['a long suffix unsatisfiable (3)', rangeRead(/^bytes=-301000$/, 'bytes=-0'), ['range-long-suffix']],
  [
    'the last position not clamped (4)',
    rangeRead(/-301000$/, 'bytes=-0'),
    ['range-long-suffix', 'range-clamped'],
  ],
  [
    '416 without Content-Range (5)',
    spoilt(416, ({ headers }) => delete headers['content-range']),
    ['range-unsatisfiable'],
  ],
  ['404 in place of 416 (5)', spoilt(416, (reply) => answering(reply, 404)), ['range-unsatisfiable']],
  ['ranges not honoured for octet-stream (7, 12)', rangeRead(/./), every],
  [
    'If-Range ignored (8)',
    { misread: (headers) => delete headers['if-range'] },
    ['if-range-other', 'if-range-weak', 'if-range-date'],
  ],
  [
    'If-Range compared weakly (9)',
    {
      misread: (headers) => {
        headers['if-range'] = headers['if-range']?.toString().replace('W/', '');
        if (headers['if-range'] === undefined) delete headers['if-range'];
      },
    },
    ['if-range-weak'],
  ],
  [
    'If-Range by a date that is not earlier (9)',
    {
      misread: (headers) => {
        if (Date.parse(`${headers['if-range']}`) >= lastModified.getTime()) delete headers['if-range'];
      },
    },
    ['if-range-date'],
  ],
  ['several ranges answered 416 (10)', rangeRead(/^bytes=0-0,-1$/, 'bytes=-0'), ['range-several']],
  [
    'If-Modified-Since looked at beside If-None-Match (11)',
    { misread: (headers) => headers['if-modified-since'] && delete headers['if-none-match'] },
    ['etag-before-date'],
  ],
  [
    'Range applied to HEAD (14)',
    {
      spoil: ({ headers }, _, method) =>
        method === 'HEAD' && Object.assign(headers, { 'content-length': '1' }),
    },
    ['head'],
  ],
  ['BYTES= ignored (15)', rangeRead(/^BYTES/), ['range-unit-case']],
  ['a malformed range honoured (15)', rangeRead(/junk/, 'bytes=0-3'), ['range-malformed']],
  [
    'overlapping ranges sent one by one (16)',
    {
      spoil: (reply, { range = '' }) => {
        const count = range.split(',').length;
        if (count < 3) return;
        reply.body = Buffer.concat(Array<Buffer>(count).fill(recording));
        reply.headers = { ...cors, etag };
      },
    },
    ['range-overlapping'],
  ],
  ['a weak ETag (17)', { spoil: ({ headers }) => Object.assign(headers, { etag: 'W/"v1"' }) }, ['etag']],
  ['no ETag (17)', { spoil: ({ headers }) => delete headers.etag }, ['etag']],
  [
    'another ETag on 206 (17)',
    spoilt(206, ({ headers }) => Object.assign(headers, { etag: '"v2"' })),
    ['etag'],
  ],
  [
    'a range cut short with a clean end (18)',
    {
      spoil: (reply, { range }) => {
        if (range !== 'bytes=150000-') return;
        delete reply.headers['content-length'];
        reply.body = reply.body.subarray(0, -1);
      },
    },
    ['range-rest'],
  ],
  [
    'bytes of another version in a range (18)',
    { spoil: (reply, { range }) => range === 'bytes=150000-' && reply.body.fill(0, 90_000) },
    ['range-rest'],
  ],
  [
    'audio/wav',
    spoilt(200, ({ headers }) => Object.assign(headers, { 'content-type': 'audio/wav' })),
    ['octet-stream'],
  ],
  ['no Content-Length', spoilt(200, ({ headers }) => delete headers['content-length']), ['length', 'head']],
  ['no Accept-Ranges', spoilt(200, ({ headers }) => delete headers['accept-ranges']), ['accept-ranges']],
  [
    'a content coding',
    spoilt(200, ({ headers }) => Object.assign(headers, { 'content-encoding': 'gzip' })),
    ['length'],
  ],
  [
    'a body that breaks off',
    {
      spoil: (reply, { range }, method) => {
        if (method === 'GET' && range === undefined) reply.headers['content-length'] = recording.length + 1;
      },
    },
    ['whole'],
  ],
  [
    'nothing in it',
    spoilt(200, (reply) => Object.assign(reply, { headers: {}, body: '' })),
    ['octet-stream', 'length', 'whole', 'accept-ranges'],
  ],
  [
    'a redirect',
    spoilt(200, (reply) => Object.assign(reply, { status: 302, headers: { location: '/login' } })),
    ['stream-direct'],
  ],
  ['a login', spoilt(200, (reply) => Object.assign(reply, { status: 401 })), ['stream-direct']],
  [
    '304 never sent',
    { misread: (headers) => delete headers['if-none-match'] },
    ['not-modified', 'etag-before-date'],
  ],
  ['no CORS', spoilt(206, ({ headers }) => delete headers['access-control-allow-origin']), ['cors-allow']],
  [
    'nothing exposed',
    spoilt(206, ({ headers }) => delete headers['access-control-expose-headers']),
    ['cors-expose'],
  ],
  ['no preflight', spoilt(204, (reply) => answering(reply, 405)), ['cors-preflight']],
];

t.test('an endpoint that does one thing wrong fails that requirement and no other', async (t) => {
  for (const [name, fault, expected] of faults) {
    const origin = await serve(t, fault);
    const { requirements, met } = await examine({ url: `${origin}/stream/x`, timeoutMs: 5000 });
    const unmet = requirements.filter((requirement) => requirement.met === false);
    t.same(
      unmet.map(({ id }) => id),
      expected,
      `${name} → ${expected}`,
    );
    t.equal(met, false, 'and the whole is not met');
    t.ok(
      unmet.every(({ repair }) => repair !== undefined),
      'each with its repair',
    );
  }
});
