import t from 'tap';
import type { Representation } from '../../src/origins/origin.ts';
import { maxRanges, type Selection, select } from '../../src/streaming/range.ts';

const type = 'application/octet-stream';
const now = Date.parse('2026-11-22T12:00:00.250Z');
const etag = '"3f2a"';
const at = 'Sun, 22 Nov 2026 08:49:37 GMT';
const before = 'Sun, 22 Nov 2026 08:49:36 GMT';
const after = 'Sun, 22 Nov 2026 08:49:38 GMT';
const thousand: Representation = { size: 1000, etag, lastModified: new Date('2026-11-22T08:49:37.900Z') };

type Fields = Record<string, string>;

function respond(fields: Fields, representation = thousand, method = 'GET'): Selection {
  return select(method, fields, representation, type, now);
}

/** A selection in one line: `206 0-99`, `206 multipart 0-0 998-999`, `416 * /1000`, `200 whole`, `304`. */
function summary({ status, headers, body, kind }: Selection): string {
  const ranges = body.flatMap((segment) =>
    segment instanceof Uint8Array ? [] : [`${segment.first}-${segment.last}`],
  );
  if (kind === 'ranges') return `${status} multipart ${ranges.join(' ')}`;
  return [status, kind === 'whole' ? 'whole' : (headers['content-range']?.slice('bytes '.length) ?? '')]
    .join(' ')
    .trim();
}

function sized(size: number): Representation {
  return { ...thousand, size };
}

t.test('Range', async (t) => {
  const rows: [field: string, size: number, expected: string, note?: string][] = [
    ['bytes=0-', 1000, '206 0-999/1000', 'the whole, but as a range'],
    ['bytes=0-0', 1000, '206 0-0/1000', 'one byte'],
    ['bytes=0-', 1, '206 0-0/1', 'one byte'],
    ['bytes=-3', 1000, '206 997-999/1000', 'a suffix'],
    ['bytes=-1000', 1000, '206 0-999/1000', 'a suffix'],
    ['bytes=-5000', 1000, '206 0-999/1000', 'a suffix longer than the file'],
    ['bytes=-0', 1000, '416 */1000', 'the last 0 bytes'],
    ['bytes=990-2000', 1000, '206 990-999/1000', 'ends at the end of the file'],
    ['bytes=999-999', 1000, '206 999-999/1000'],
    ['bytes=1000-', 1000, '416 */1000', 'none satisfiable'],
    ['bytes=1000-1001,-0', 1000, '416 */1000', 'none satisfiable'],
    ['bytes=0-', 230_400_044, '206 0-230400043/230400044', 'an hour of stereo: no limit'],
    ['bytes=0-199999999', 230_400_044, '206 0-199999999/230400044', 'an hour of stereo: no limit'],
    ['bytes=0-0,500-599,-2', 1000, '206 multipart 0-0 500-599 998-999', 'several ranges'],
    ['bytes=-2,0-0', 1000, '206 multipart 998-999 0-0', 'in the order of the request'],
    ['bytes=500-599,0-9,550-650', 1000, '206 multipart 500-650 0-9', 'in the order of the request'],
    ['bytes=0-9,1000-2000', 1000, '206 0-9/1000', 'one satisfiable'],
    ['bytes=0-499,500-999', 1000, '206 0-999/1000', 'adjacent'],
    ['bytes=10-20,5-15,0-7', 1000, '206 0-20/1000', 'overlapping'],
    ['bytes=0-,0-,0-,0-', 1000, '206 0-999/1000', 'repeated'],
    ['BYTES=0-3', 1000, '206 0-3/1000', 'the unit is case-insensitive'],
    ['bytes=0-3junk', 1000, '200 whole', 'malformed: ignored'],
    ['bytes=0-3,junk', 1000, '200 whole', 'malformed in part: ignored as a whole'],
    ['bytes=0-3,9-8', 1000, '200 whole', 'malformed in part: ignored as a whole'],
    ['bytes=5-4', 1000, '200 whole'],
    ['bytes=', 1000, '200 whole'],
    ['bytes=,', 1000, '200 whole'],
    ['bytes=-', 1000, '200 whole'],
    ['bytes=0', 1000, '200 whole'],
    ['bytes=--1', 1000, '200 whole'],
    ['bytes=+1-2', 1000, '200 whole'],
    ['bytes=0x1-2', 1000, '200 whole'],
    ['bytes=1.0-2', 1000, '200 whole'],
    ['bytes=0 - 3', 1000, '200 whole'],
    ['bytes= 0-3', 1000, '200 whole'],
    ['bytes 0-3', 1000, '200 whole'],
    ['items=0-3', 1000, '200 whole'],
    ['0-3', 1000, '200 whole'],
    ['', 1000, '200 whole'],
    ['bytes=0-1 ,\t4-5', 1000, '206 multipart 0-1 4-5', '§5.6.1.2'],
    ['bytes=,, 0-1, ,4-5,', 1000, '206 multipart 0-1 4-5', '§5.6.1.2'],
    ['bytes=0-1, bytes=4-5', 1000, '200 whole', 'two header lines, joined by Node'],
    ['bytes=0000000000000000000005-0000000000000000000006', 1000, '206 5-6/1000'],
    [`bytes=5-${'9'.repeat(400)}`, 1000, '206 5-999/1000'],
    [`bytes=${'9'.repeat(400)}-`, 1000, '416 */1000'],
    [`bytes=-${'9'.repeat(400)}`, 1000, '206 0-999/1000'],
    ['bytes=9007199254740993-9007199254740992', 1000, '200 whole', 'reversed by less than a double shows'],
    ['bytes=18446744073709551616-18446744073709551617', 1000, '416 */1000'],
    ['bytes=0-', 0, '416 */0'],
    ['bytes=-0', 0, '416 */0'],
    ['bytes=-1', 0, '200 whole', '§14.4 cannot name it'],
  ];
  for (const [field, size, expected, note] of rows) {
    const name = `"${field.slice(0, 60)}" of ${size} → ${expected}${note ? ` (${note})` : ''}`;
    t.equal(summary(respond({ range: field }, sized(size))), expected, name);
  }
  t.equal(summary(respond({})), '200 whole', 'no Range → 200 whole');
});

t.test(
  'the number of ranges is limited, and no response is longer than the file and its part headers',
  async (t) => {
    const apart = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, i) => `${i * 10}-${i * 10}`)}`;
    t.equal(respond({ range: apart(maxRanges) }).body.length, 2 * maxRanges + 1);
    t.equal(summary(respond({ range: apart(maxRanges + 1) })), '200 whole');

    const overlapping = `bytes=${Array.from({ length: maxRanges }, (_, i) => `${i}-`)}`;
    t.equal(summary(respond({ range: overlapping })), '206 0-999/1000');
  },
);

t.test('multipart/byteranges has the framing of §14.6 and an exact length', async (t) => {
  const { headers, body } = respond({ range: 'bytes=0-1,998-' });
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f-]{36})$/.exec(
    headers['content-type'] ?? '',
  )?.[1];
  const sent = body.map((segment) =>
    segment instanceof Uint8Array
      ? new TextDecoder().decode(segment)
      : '*'.repeat(segment.last - segment.first + 1),
  );
  const part = (range: string) =>
    `--${boundary}\r\nContent-Type: ${type}\r\nContent-Range: bytes ${range}/1000\r\n\r\n**\r\n`;
  t.equal(sent.join(''), `${part('0-1')}${part('998-999')}--${boundary}--\r\n`);
  t.equal(headers['content-length'], `${sent.join('').length}`);
  t.notOk('content-range' in headers, 'Content-Range is for one range only (§15.3.7.2)');
  t.not(
    respond({ range: 'bytes=0-1,998-' }).headers['content-type'],
    headers['content-type'],
    'another boundary each time',
  );
});

t.test('preconditions, in the order of §13.2.2', async (t) => {
  const some = { range: 'bytes=0-9' };
  const rows: [fields: Fields, expected: string][] = [
    [{ 'if-match': etag }, '200 whole'],
    [{ 'if-match': '*' }, '200 whole'],
    [{ 'if-match': `"a,b" , ${etag}` }, '200 whole'],
    [{ 'if-match': `, ,"a",, ${etag},` }, '200 whole'],
    [{ 'if-match': '"other"' }, '412'],
    [{ 'if-match': `W/${etag}` }, '412'],
    [{ 'if-match': etag.slice(1, -1) }, '412'],
    [{ 'if-match': `"a" ${etag}` }, '412'],
    [{ 'if-match': `*, ${etag}` }, '412'],
    [{ 'if-match': '' }, '412'],
    [{ 'if-match': '"other"', ...some }, '412'],
    [{ 'if-match': etag, ...some }, '206 0-9/1000'],
    [{ 'if-match': etag, 'if-unmodified-since': before }, '200 whole'],
    [{ 'if-match': '"other"', 'if-none-match': etag }, '412'],
    [{ 'if-match': etag, 'if-none-match': etag }, '304'],
    [{ 'if-unmodified-since': at }, '200 whole'],
    [{ 'if-unmodified-since': after }, '200 whole'],
    [{ 'if-unmodified-since': before }, '412'],
    [{ 'if-unmodified-since': 'yesterday' }, '200 whole'],
    [{ 'if-unmodified-since': before, 'if-none-match': etag }, '412'],
    [{ 'if-none-match': etag }, '304'],
    [{ 'if-none-match': `W/${etag}` }, '304'],
    [{ 'if-none-match': `"x", W/"y", ${etag}` }, '304'],
    [{ 'if-none-match': '*' }, '304'],
    [{ 'if-none-match': '"other"' }, '200 whole'],
    [{ 'if-none-match': `w/${etag}` }, '200 whole'],
    [{ 'if-none-match': `${etag}junk` }, '200 whole'],
    [{ 'if-none-match': etag, ...some }, '304'],
    [{ 'if-none-match': '"other"', 'if-modified-since': at }, '200 whole'], // the date is ignored
    [{ 'if-none-match': '"other"', 'if-modified-since': after, ...some }, '206 0-9/1000'],
    [{ 'if-modified-since': at }, '304'],
    [{ 'if-modified-since': after }, '304'],
    [{ 'if-modified-since': before }, '200 whole'],
    [{ 'if-modified-since': `${at}, ${at}` }, '200 whole'],
    [{ 'if-modified-since': at, range: 'bytes=5000-' }, '304'],
    [{ 'if-range': etag, ...some }, '206 0-9/1000'],
    [{ 'if-range': '"other"', ...some }, '200 whole'],
    [{ 'if-range': `W/${etag}`, ...some }, '200 whole'], // If-Range needs a strong tag
    [{ 'if-range': `"x", ${etag}`, ...some }, '200 whole'],
    [{ 'if-range': `${etag}x`, ...some }, '200 whole'],
    [{ 'if-range': '*', ...some }, '200 whole'],
    [{ 'if-range': '', ...some }, '200 whole'],
    [{ 'if-range': at, ...some }, '206 0-9/1000'],
    [{ 'if-range': after, ...some }, '200 whole'],
    [{ 'if-range': before, ...some }, '200 whole'],
    [{ 'if-range': '"other"', range: 'bytes=5000-' }, '200 whole'],
    [{ 'if-range': etag, range: 'bytes=5000-' }, '416 */1000'],
    [{ 'if-range': '"other"' }, '200 whole'],
  ];
  for (const [fields, expected] of rows) {
    const shown = JSON.stringify(fields);
    t.equal(summary(respond(fields)), expected, `GET ${shown} → ${expected}`);
    // HEAD ignores Range and If-Range. Everything else is as for GET.
    const head = respond(fields, thousand, 'HEAD');
    const status = expected === '412' || expected === '304' ? Number(expected) : 200;
    t.equal(head.status, status, `HEAD ${shown} → ${status}`);
    t.same(head.body, [], 'and no body');
  }
});

t.test('HTTP dates are read in three formats, and anything else is ignored (§5.6.7)', async (t) => {
  const rows: [date: string, read: boolean][] = [
    ['Sun, 22 Nov 2026 08:49:37 GMT', true],
    ['Sunday, 22-Nov-26 08:49:37 GMT', true],
    ['Sun Nov 22 08:49:37 2026', true],
    ['Fri Nov  6 08:49:37 2026', false],
    ['Friday, 22-Nov-75 08:49:37 GMT', true],
    ['Sunday, 22-Nov-76 08:49:37 GMT', true],
    ['Tuesday, 22-Dec-76 08:49:37 GMT', false], // More than 50 years ahead: 1976.
    ['2026-11-22T08:49:37Z', false],
    ['Sun, 22 Nov 2026 08:49:37 +0000', false],
    ['Sun, 22 nov 2026 08:49:37 GMT', false],
    ['Sun, 31 Feb 2027 08:49:37 GMT', false],
    ['Sun, 22 Nov 2027 24:00:00 GMT', false],
    ['Sun, 2 Nov 2027 08:49:37 GMT', false],
    [String(now), false],
    ['', false],
  ];
  for (const [date, read] of rows) {
    const status = respond({ 'if-modified-since': date }).status;
    t.equal(status, read ? 304 : 200, `"${date}" → ${status}`);
  }
  t.equal(
    respond({ 'if-unmodified-since': 'Fri Nov  6 08:49:37 2026' }).status,
    412,
    'asctime with a one-digit day',
  );
  t.equal(
    respond({ 'if-unmodified-since': 'Sat, 01 Jan 0050 00:00:00 GMT' }).status,
    412,
    'year 50 is not 1950',
  );
});

t.test('a date is a strong validator once its second is over (§8.8.2.2)', async (t) => {
  const fields = { range: 'bytes=0-9', 'if-range': at };
  const statusAfter = (milliseconds: number) =>
    select('GET', fields, thousand, type, thousand.lastModified.getTime() + milliseconds).status;
  t.equal(statusAfter(50), 200);
  t.equal(statusAfter(100), 206);
});

t.test('a weak ETag never matches strongly, not even itself (§8.8.3.2)', async (t) => {
  const weak = { ...thousand, etag: `W/${etag}` };
  t.equal(summary(respond({ 'if-match': weak.etag }, weak)), '412');
  t.equal(summary(respond({ 'if-range': weak.etag, range: 'bytes=0-9' }, weak)), '200 whole');
});

t.test('Last-Modified is never in the future (§8.8.2.1)', async (t) => {
  const { headers } = respond({}, { ...thousand, lastModified: new Date(now + 86_400_000) });
  t.equal(headers['last-modified'], 'Sun, 22 Nov 2026 12:00:00 GMT');
});

t.test('each status has its headers, and all have the same strong ETag', async (t) => {
  const common = { 'accept-ranges': 'bytes', etag };
  const dated = { ...common, 'last-modified': at };
  const rows: [name: string, selection: Selection, headers: Fields, kind: string][] = [
    ['200', respond({}), { ...dated, 'content-length': '1000' }, 'whole'],
    [
      '200 to HEAD with Range',
      respond({ range: 'bytes=0-9' }, thousand, 'HEAD'),
      { ...dated, 'content-length': '1000' },
      'none',
    ],
    ['200 of an empty file', respond({}, sized(0)), { ...dated, 'content-length': '0' }, 'whole'],
    [
      '206',
      respond({ range: 'bytes=-1' }),
      { ...dated, 'content-length': '1', 'content-range': 'bytes 999-999/1000' },
      'range',
    ],
    ['304', respond({ 'if-none-match': '*' }), common, 'none'],
    ['412', respond({ 'if-match': '"x"' }), { ...dated, 'content-length': '0' }, 'none'],
    [
      '416',
      respond({ range: 'bytes=-0' }),
      { ...dated, 'content-length': '0', 'content-range': 'bytes */1000' },
      'none',
    ],
  ];
  for (const [name, selection, headers, kind] of rows) {
    t.same(selection.headers, headers, name);
    t.equal(selection.kind, kind, `${name} counts as ${kind}`);
    if (kind === 'none') t.same(selection.body, [], `${name} has no body`);
  }
  t.equal(respond({ range: 'bytes=0-0,9-9' }).headers.etag, etag, 'multipart');
  t.same(respond({}, sized(0)).body, [], 'nothing is read of an empty file');
});

t.test('a malformed header of 16 KB is ignored like a short one', async (t) => {
  const long = 16_384;
  const rows: Record<string, Fields> = {
    'spaces in a range': { range: `bytes=0${' '.repeat(long)}x` },
    'spaces before a range': { range: `bytes=,${' '.repeat(long)}x` },
    'commas in ranges': { range: `bytes=${','.repeat(long)}x` },
    'digits of a position': { range: `bytes=1-${'9'.repeat(long)}x` },
    'spaces in tags': { 'if-none-match': `"a"${' '.repeat(long)}x` },
    'commas in tags': { 'if-none-match': `${', '.repeat(long / 2)}x` },
    'an open quote': { 'if-none-match': `"${'a'.repeat(long)}` },
  };
  for (const [name, fields] of Object.entries(rows)) {
    t.equal(summary(respond(fields)), '200 whole', name);
  }
});
