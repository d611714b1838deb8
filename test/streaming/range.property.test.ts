import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import { maxRanges, type Selection, select } from '../../src/streaming/range.ts';

/** What RFC 9110 requires, read sentence by sentence. `parts` are the bytes, in order. */
interface Expected {
  status: number;
  parts: { first: number; bytes: string }[];
}

interface Case {
  method: string;
  file: string;
  range: string | undefined;
  ifMatch: Tags | undefined;
  ifNoneMatch: Tags | undefined;
  ifUnmodifiedSince: When | undefined;
  ifModifiedSince: When | undefined;
  ifRange: (Tags & When) | undefined;
}

/** A field with entity tags, and whether it names the file's tag, by strong and by weak comparison. */
interface Tags {
  field: string;
  strong: boolean;
  weak: boolean;
}

/** A field with a date, in seconds from Last-Modified. No `offset` if the date is malformed. */
interface When {
  field: string;
  offset?: number;
}

const etag = '"v1"';
const lastModified = new Date('2026-11-06T08:49:37Z');
const now = lastModified.getTime() + 60_000;

// ---- The model: one byte at a time ----

function isDigits(text: string): boolean {
  return text.length > 0 && [...text].every((letter) => letter >= '0' && letter <= '9');
}

function strip(text: string): string {
  let stripped = text;
  while (stripped.startsWith(' ') || stripped.startsWith('\t')) stripped = stripped.slice(1);
  while (stripped.endsWith(' ') || stripped.endsWith('\t')) stripped = stripped.slice(0, -1);
  return stripped;
}

/** For each byte of the file, the index of the first range that contains it. undefined if the field is ignored. */
function rangeOfBytes(field: string, size: number): (number | undefined)[] | undefined {
  if (field.slice(0, 6).toLowerCase() !== 'bytes=') return undefined;
  const list = field.slice(6);
  if (list.startsWith(' ') || list.startsWith('\t')) return undefined;
  const specs = list
    .split(',')
    .map(strip)
    .filter((spec) => spec.length > 0);
  if (specs.length === 0 || specs.length > maxRanges) return undefined;

  const owner = Array.from<number | undefined>({ length: size });
  for (const [index, spec] of specs.entries()) {
    const dash = spec.indexOf('-');
    const [left, right] = [spec.slice(0, dash), spec.slice(dash + 1)];
    const suffix = left === '' && isDigits(right);
    const open = isDigits(left) && right === '';
    const closed = isDigits(left) && isDigits(right);
    if (dash < 0 || !(suffix || open || closed)) return undefined;
    if (closed && BigInt(right) < BigInt(left)) return undefined;
    if (suffix && BigInt(right) > 0n && size === 0) return undefined;
    for (let at = 0; at < size; at++) {
      const wanted = suffix
        ? BigInt(size - at) <= BigInt(right)
        : BigInt(at) >= BigInt(left) && (open || BigInt(at) <= BigInt(right));
      if (wanted) owner[at] ??= index;
    }
  }
  return owner;
}

function expectedRanges(field: string, file: string): Expected {
  const owner = rangeOfBytes(field, file.length);
  if (owner === undefined) return whole(file);
  const runs: { first: number; bytes: string; order: number }[] = [];
  let run: (typeof runs)[number] | undefined;
  for (const [at, index] of owner.entries()) {
    if (index === undefined) {
      run = undefined;
    } else if (run) {
      run.bytes += file[at];
      run.order = Math.min(run.order, index);
    } else {
      run = { first: at, bytes: file[at]!, order: index };
      runs.push(run);
    }
  }
  runs.sort((a, b) => a.order - b.order);
  if (runs.length === 0) return { status: 416, parts: [] };
  return { status: 206, parts: runs.map(({ first, bytes }) => ({ first, bytes })) };
}

function whole(file: string): Expected {
  return { status: 200, parts: file === '' ? [] : [{ first: 0, bytes: file }] };
}

function expected({ method, file, range, ifMatch, ifNoneMatch, ...dates }: Case): Expected {
  const { ifUnmodifiedSince, ifModifiedSince, ifRange } = dates;
  const changedSince = ifUnmodifiedSince?.offset !== undefined && ifUnmodifiedSince.offset < 0;
  if (ifMatch ? !ifMatch.strong : changedSince) return { status: 412, parts: [] };
  const unchangedSince = ifModifiedSince?.offset !== undefined && ifModifiedSince.offset >= 0;
  if (ifNoneMatch ? ifNoneMatch.weak : unchangedSince) return { status: 304, parts: [] };
  if (method === 'HEAD') return { status: 200, parts: [] };
  if (range === undefined || (ifRange && !ifRange.strong && ifRange.offset !== 0)) return whole(file);
  return expectedRanges(range, file);
}

// ---- What is sent, read back as a client reads it ----

function received({ status, headers, body }: Selection, file: string): Expected {
  const bytes = body
    .map((segment) =>
      segment instanceof Uint8Array
        ? new TextDecoder().decode(segment)
        : file.slice(segment.first, segment.last + 1),
    )
    .join('');
  if (body.length > 0 || status >= 400) assert.equal(headers['content-length'], `${bytes.length}`);

  const boundary = headers['content-type']?.split('boundary=')[1];
  if (boundary !== undefined) {
    assert.ok(
      bytes.length <= file.length + 200 * (maxRanges + 1),
      'no longer than the file and its part headers',
    );
    const texts = `\r\n${bytes}`.split(`\r\n--${boundary}`);
    assert.equal(texts.shift(), '');
    assert.equal(texts.pop(), '--\r\n');
    return { status, parts: texts.map((text) => part(text.slice(text.indexOf('\r\n\r\n') + 4), text, file)) };
  }
  if (status !== 206) return { status, parts: bytes === '' ? [] : [{ first: 0, bytes }] };
  return { status, parts: [part(bytes, `content-range: ${headers['content-range']}\r\n`, file)] };
}

function part(bytes: string, fields: string, file: string): Expected['parts'][number] {
  const [, first, last, size] = /content-range: bytes (\d+)-(\d+)\/(\d+)\r\n/i.exec(fields) ?? [];
  assert.equal(Number(last) - Number(first) + 1, bytes.length);
  assert.equal(Number(size), file.length);
  return { first: Number(first), bytes };
}

// ---- Cases, well formed and not ----

const space = fc.constantFrom(...Array<string>(20).fill(''), ' ', '\t', '  ');
const position = fc.oneof(
  { weight: 8, arbitrary: fc.nat(70).map(String) },
  { weight: 1, arbitrary: fc.constantFrom('007', '9007199254740992', '9007199254740993', '9'.repeat(400)) },
);
const near = fc.tuple(fc.nat(70), fc.nat(6)).map(([first, more]) => `${first}-${first + more}`);
const far = fc.tuple(position, position).map((pair) => pair.sort((a, b) => Number(a) - Number(b)).join('-'));
const malformed = fc.constantFrom('-', '5-2', '0-1x', '1-2-3', '1', 'a-b', '0 -1', '+1-2', '\u00a01-2');
const spec = fc.oneof(
  { weight: 40, arbitrary: near },
  { weight: 4, arbitrary: far },
  { weight: 4, arbitrary: position.map((first) => `${first}-`) },
  { weight: 4, arbitrary: position.map((length) => `-${length}`) },
  { weight: 4, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: malformed },
);
const set = fc
  .array(
    fc.tuple(space, spec, space).map((texts) => texts.join('')),
    { maxLength: 8 },
  )
  .map((specs) => specs.join(','));
const unit = fc.constantFrom(
  'bytes=',
  'bytes=',
  'bytes=',
  'bytes=',
  'Bytes=',
  'BYTES=',
  'bytes',
  'octets=',
  'bytes =',
);
const range = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(unit, set).map(([name, list]) => name + list) },
  { weight: 1, arbitrary: fc.string({ unit: fc.constantFrom(...'bytes=0123456789-,, \t'), maxLength: 20 }) },
  {
    weight: 1,
    arbitrary: fc.nat(90).map((count) => `bytes=${Array.from({ length: count }, (_, i) => `${i}-${i}`)}`),
  },
);

const tagged = (field: string, strong: boolean, weak = strong): Tags => ({ field, strong, weak });
const one = [
  tagged(etag, true),
  tagged(`W/${etag}`, false, true),
  tagged('"v2"', false),
  tagged('"v1', false),
];
const tags = fc.constantFrom(
  ...one,
  tagged('*', true),
  tagged(`"a,", ,W/"b"\t,${etag}`, true),
  tagged(`"a" ${etag}`, false),
  tagged(`${etag};`, false),
  tagged(`${etag}, v1`, false),
  tagged('', false),
);

const when = fc.oneof(
  fc.constantFrom(-86_400 * 365, -1, 0, 1, 86_400).chain((offset) => {
    const [day, date, month, year, time] = new Date(lastModified.getTime() + offset * 1000)
      .toUTCString()
      .split(' ');
    const fullDay = {
      Sun: 'Sun',
      Mon: 'Mon',
      Tue: 'Tues',
      Wed: 'Wednes',
      Thu: 'Thurs',
      Fri: 'Fri',
      Sat: 'Satur',
    };
    const name = day!.slice(0, 3) as keyof typeof fullDay;
    return fc.constantFrom(
      { field: `${day} ${date} ${month} ${year} ${time} GMT`, offset },
      { field: `${fullDay[name]}day, ${date}-${month}-${year!.slice(2)} ${time} GMT`, offset },
      { field: `${name} ${month} ${date!.replace(/^0/, ' ')} ${time} ${year}`, offset },
      { field: `${day} ${date} ${month} ${year} ${time} UTC` },
    );
  }),
  fc.constantFrom<When>({ field: '' }, { field: '0' }, { field: lastModified.toISOString() }),
);
// If-Range has one tag or one date: `*` and lists are malformed there.
const validator = fc.oneof(
  fc.constantFrom(...one, tagged('*', false)),
  when.map((date) => ({ ...date, strong: false, weak: false })),
);

const rarely = <T>(arbitrary: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 11, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
const cases: fc.Arbitrary<Case> = fc.record({
  method: fc.constantFrom('GET', 'GET', 'GET', 'GET', 'HEAD'),
  file: fc
    .oneof({ weight: 15, arbitrary: fc.nat(64) }, { weight: 1, arbitrary: fc.constantFrom(0, 1) })
    .map((size) => Array.from({ length: size }, (_, at) => String.fromCharCode(33 + at)).join('')),
  range: fc.option(range, { nil: undefined, freq: 9 }),
  ifMatch: rarely(tags),
  ifNoneMatch: rarely(tags),
  ifUnmodifiedSince: rarely(when),
  ifModifiedSince: rarely(when),
  ifRange: rarely(validator),
});

t.test('10,000 requests get the response of a naive model', async (t) => {
  const seen: Record<string, number> = {};
  const property = fc.property(cases, (request) => {
    const { method, file } = request;
    const headers = {
      range: request.range,
      'if-match': request.ifMatch?.field,
      'if-none-match': request.ifNoneMatch?.field,
      'if-unmodified-since': request.ifUnmodifiedSince?.field,
      'if-modified-since': request.ifModifiedSince?.field,
      'if-range': request.ifRange?.field,
    };
    const representation = { size: file.length, etag, lastModified };
    const selection = select(method, headers, representation, 'application/octet-stream', now);
    assert.deepEqual(received(selection, file), expected(request));
    assert.equal(selection.headers.etag, etag);
    assert.equal(selection.headers['content-range'] === `bytes */${file.length}`, selection.status === 416);
    const outcome = `${selection.status} ${selection.kind}`;
    seen[outcome] = (seen[outcome] ?? 0) + 1;
  });
  fc.assert(property, { numRuns: 10_000 });
  const outcomes = ['200 none', '200 whole', '206 range', '206 ranges', '304 none', '412 none', '416 none'];
  t.same(Object.keys(seen).sort(), outcomes, JSON.stringify(seen));
});
