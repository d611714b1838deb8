import type { OutgoingHttpHeaders } from 'node:http';
import t from 'tap';
import { Problem } from '../../../src/errors.ts';
import { createMetrics } from '../../../src/metrics.ts';
import { HttpClient } from '../../../src/origins/http/http-client.ts';
import { rangeBody, rangeHeaders, retry, statusProblem } from '../../../src/origins/http/ranged.ts';
import { codeOf, collect, untilReleased } from '../../contracts/origin.ts';
import { serve } from '../../servers/serve.ts';

/** A signal that never aborts. */
const awake = new AbortController().signal;
const range = { first: 10, last: 19 };
const etag = '"v1"';
const right = { 'content-range': 'bytes 10-19/1000', 'content-length': 10, etag };
const ten = 'abcdefghij';

t.test('a response is accepted only if it is the range that was requested', async (t) => {
  const table: [name: string, status: number, headers: OutgoingHttpHeaders, body: string, outcome: string][] =
    [
      ['right', 206, right, ten, ten],
      ['size unknown', 206, { ...right, 'content-range': 'bytes 10-19/*' }, ten, ten],
      ['unit in capitals', 206, { ...right, 'content-range': 'BYTES 10-19/1000' }, ten, ten],
      ['chunked', 206, { ...right, 'content-length': undefined }, ten, ten],
      ['identity coding', 206, { ...right, 'content-encoding': 'identity' }, ten, ten],
      ['range ignored', 200, { etag }, 'x'.repeat(1000), 'origin_failed'],
      ['range ignored, length of the range', 200, { etag, 'content-length': 10 }, ten, 'origin_failed'],
      ['200 with Content-Range', 200, right, ten, 'origin_failed'],
      ['no Content-Range', 206, { ...right, 'content-range': undefined }, ten, 'origin_failed'],
      ['other start', 206, { ...right, 'content-range': 'bytes 0-9/1000' }, ten, 'origin_failed'],
      [
        'other end',
        206,
        { ...right, 'content-range': 'bytes 10-18/1000', 'content-length': 9 },
        'abcdefghi',
        'origin_failed',
      ],
      ['other unit', 206, { ...right, 'content-range': 'items 10-19/1000' }, ten, 'origin_failed'],
      [
        'junk after the range',
        206,
        { ...right, 'content-range': 'bytes 10-19/1000, 30-39/1000' },
        ten,
        'origin_failed',
      ],
      [
        'multipart',
        206,
        { etag, 'content-type': 'multipart/byteranges; boundary=x' },
        '--x',
        'origin_failed',
      ],
      ['shorter than the range', 206, { ...right, 'content-length': 9 }, 'abcdefghi', 'origin_failed'],
      ['longer than the range', 206, { ...right, 'content-length': 11 }, 'abcdefghijk', 'origin_failed'],
      ['chunked and shorter', 206, { ...right, 'content-length': undefined }, 'abcdefghi', 'origin_failed'],
      ['chunked and longer', 206, { ...right, 'content-length': undefined }, 'abcdefghijk', 'origin_failed'],
      ['encoded', 206, { ...right, 'content-encoding': 'gzip' }, ten, 'origin_failed'],
      ['no ETag', 206, { ...right, etag: undefined }, ten, 'origin_failed'],
      ['weak ETag', 206, { ...right, etag: 'W/"v1"' }, ten, 'origin_failed'],
      ['ETag without quotes', 206, { ...right, etag: 'v1' }, ten, 'origin_failed'],
      ['If-Match ignored', 206, { ...right, etag: '"v2"' }, ten, 'version_changed'],
      ['precondition failed', 412, {}, '', 'version_changed'],
      ['not satisfiable any more', 416, { 'content-range': 'bytes */5' }, '', 'version_changed'],
      ['gone', 410, {}, '', 'not_found'],
      ['not there', 404, {}, 'x'.repeat(100_000), 'not_found'],
      ['not modified', 304, {}, '', 'origin_failed'],
      ['elsewhere', 302, { location: '/' }, '', 'origin_failed'],
      ['forbidden', 403, {}, 'no', 'origin_failed'],
      ['busy', 503, {}, '', 'origin_unavailable'],
      ['too many', 429, {}, '', 'origin_unavailable'],
      ['broken', 500, {}, '', 'origin_unavailable'],
    ];
  let seen: string[] = [];
  const { url: origin } = await serve(t, (request, response) => {
    const [, status, headers, body] = table[Number(request.url!.slice(1))]!;
    seen = [request.headers.range!, request.headers['if-match']!, request.headers['accept-encoding']!];
    for (const [name, value] of Object.entries(headers))
      if (value !== undefined) response.setHeader(name, value);
    response.sendDate = false;
    response.statusCode = status;
    response.write(body);
    response.end();
  });
  const client = new HttpClient({
    name: 'test',
    metrics: createMetrics(),
    connections: 1,
    stallTimeoutMs: 2000,
  });
  t.teardown(() => client.close());

  for (const [index, [name, , , , outcome]] of table.entries()) {
    const request = async () => {
      const response = await client.get({ origin, path: `/${index}` }, rangeHeaders(range, etag), awake);
      return String(await collect(rangeBody(response, range, etag)));
    };
    const got = await request().catch((error) => (error instanceof Problem ? error.code : String(error)));
    t.equal(got, outcome, `${name}: ${outcome}`);
    t.same(seen, ['bytes=10-19', etag, 'identity']);
  }
  t.equal(
    await untilReleased(() => client.underWay),
    0,
    'the only connection was free for each next request',
  );
});

t.test('an attempt is repeated while the origin is unavailable, four times at most', async (t) => {
  const failing = (problems: Problem[]) => {
    let tries = 0;
    return {
      tries: () => tries,
      attempt: async () => {
        const problem = problems[tries++];
        if (problem) throw problem;
        return 'done';
      },
    };
  };
  const unavailable = () => new Problem('origin_unavailable');

  const twice = failing([unavailable(), unavailable()]);
  t.equal(await retry(twice.attempt, 10_000), 'done');
  t.equal(twice.tries(), 3, 'two failures, then done');

  const always = failing(Array.from({ length: 10 }, unavailable));
  t.equal(await codeOf(retry(always.attempt, 10_000)), 'origin_unavailable');
  t.equal(always.tries(), 4, 'four attempts at most');

  const late = failing(Array.from({ length: 10 }, unavailable));
  t.equal(await codeOf(retry(late.attempt, -1)), 'origin_unavailable');
  t.equal(late.tries(), 1, 'no attempt after the limit');

  for (const status of [404, 412, 403]) {
    const other = failing([statusProblem(status), unavailable()]);
    await t.rejects(retry(other.attempt, 10_000));
    t.equal(other.tries(), 1, `${status} is not retried`);
  }

  const abortion = new AbortController();
  const left = failing(Array.from({ length: 10 }, unavailable));
  const waiting = retry(left.attempt, 10_000, abortion.signal);
  abortion.abort(new Error('the listener left'));
  await t.rejects(waiting, { message: 'the listener left' });
  t.equal(left.tries(), 1, 'no attempt for a listener who left');
});
