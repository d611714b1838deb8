import type { IncomingMessage } from 'node:http';
import { count, differs, printable, says } from './probe.ts';
import type { Outcome, Recording, Rule, Tagged } from './requirements.ts';

/** Asks for a range of a recording of `size` bytes and wants exactly that: status, Content-Range, bytes. */
function rangeRule(
  id: string,
  title: string,
  ask: (size: number) => { field: string; first: number; last: number },
  repair = 'Answer 206 with Content-Range and exactly these bytes (RFC 9110 §15.3.7).',
): Rule<Recording> {
  return {
    id,
    title,
    repair,
    test(recording) {
      const { field, first, last } = ask(recording.size);
      return exactly(recording, { range: field }, first, last);
    },
  };
}

function exactly(
  recording: Recording,
  headers: Record<string, string>,
  first: number,
  last: number,
): Promise<Outcome> {
  return recording.ask(headers, async (answer) => {
    const seen = `${answer.statusCode}, ${says(answer, 'content-range')}`;
    const right = answer.headers['content-range'] === `bytes ${first}-${last}/${recording.size}`;
    if (answer.statusCode !== 206 || !right) return [false, seen];
    const fault = await differs(answer, recording.spooled, { first, last });
    return fault === undefined ? [true, seen] : [false, `${seen}, ${fault}`];
  });
}

/** Any answer with one of these statuses will do. */
function answers(
  { ask }: Recording,
  headers: Record<string, string>,
  ...statuses: number[]
): Promise<Outcome> {
  return ask(headers, ({ statusCode }) => [statuses.includes(statusCode!), `${statusCode}`]);
}

const half = (size: number) => Math.floor(size / 2);

/** RFC 9110 §14: seeking. */
export const rangeRules: Rule<Recording>[] = [
  rangeRule(
    'range-open',
    'bytes=0- is answered 206, which is how players learn that they may seek',
    (size) => ({
      field: 'bytes=0-',
      first: 0,
      last: size - 1,
    }),
  ),
  rangeRule('range-one-byte', 'bytes=0-0 is one byte', () => ({ field: 'bytes=0-0', first: 0, last: 0 })),
  rangeRule('range-first', 'The first bytes alone', (size) => {
    const last = Math.min(1023, half(size));
    return { field: `bytes=0-${last}`, first: 0, last };
  }),
  rangeRule('range-middle', 'Bytes from the middle: a seek', (size) => {
    const last = Math.min(half(size) + 65_535, size - 1);
    return { field: `bytes=${half(size)}-${last}`, first: half(size), last };
  }),
  rangeRule('range-rest', 'From the middle to the end', (size) => ({
    field: `bytes=${half(size)}-`,
    first: half(size),
    last: size - 1,
  })),
  rangeRule('range-suffix', 'The last bytes, asked for as a suffix', (size) => {
    const length = Math.min(1024, size);
    return { field: `bytes=-${length}`, first: size - length, last: size - 1 };
  }),
  rangeRule(
    'range-long-suffix',
    'A suffix longer than the recording is the whole of it',
    (size) => ({ field: `bytes=-${size + 1000}`, first: 0, last: size - 1 }),
    'Answer 206 with the whole (RFC 9110 §14.1.2).',
  ),
  rangeRule(
    'range-clamped',
    'A range that goes beyond the end stops at the end',
    (size) => ({ field: `bytes=${half(size)}-${size + 1000}`, first: half(size), last: size - 1 }),
    'Take the last position for the last byte there is (RFC 9110 §14.1.2).',
  ),
  rangeRule(
    'range-unit-case',
    'The unit is taken in any case',
    () => ({ field: 'BYTES=0-0', first: 0, last: 0 }),
    'Compare the range unit without regard to case (RFC 9110 §14.1).',
  ),
  {
    id: 'range-malformed',
    title: 'A malformed range is not half understood',
    repair: 'Ignore a Range field with any malformed element: answer 200 (RFC 9110 §14.2).',
    test: (recording) => answers(recording, { range: 'bytes=0-3junk' }, 200, 416, 400),
  },
  {
    id: 'range-several',
    title: 'Several ranges are answered with 206, or with the whole',
    repair: 'Send multipart/byteranges, or ignore the field and send 200 (RFC 9110 §15.3.7.2).',
    test: (recording) => answers(recording, { range: 'bytes=0-0,-1' }, 200, 206),
  },
  {
    id: 'range-overlapping',
    title: 'Overlapping ranges do not multiply the answer',
    repair: 'Join overlapping ranges and limit their number (RFC 9110 §14.2).',
    test({ ask, size }) {
      const range = `bytes=${Array<string>(20).fill(`0-${Math.min(size, 1_048_576) - 1}`)}`;
      const limit = size + 65_536;
      return ask({ range }, async (answer) => {
        const received = await count(answer, limit);
        const bytes = received > limit ? `more than ${limit} bytes` : `${received} bytes`;
        return [received <= limit, `${answer.statusCode}, ${bytes}`];
      });
    },
  },
  {
    id: 'range-unsatisfiable',
    title: 'A range beyond the end is answered 416 with the size',
    repair: 'Answer 416 with Content-Range: bytes */SIZE (RFC 9110 §15.5.17).',
    test: ({ ask, size }) =>
      ask({ range: `bytes=${size}-` }, (answer) => {
        const ok = answer.statusCode === 416 && answer.headers['content-range'] === `bytes */${size}`;
        return [ok, `${answer.statusCode}, ${says(answer, 'content-range')}`];
      }),
  },
  {
    id: 'head',
    title: 'HEAD tells the whole size, whatever range is asked for',
    repair: 'Answer HEAD like GET without Range, and send no body (RFC 9110 §9.3.2, §14.2).',
    test({ ask, size }) {
      const use = (answer: IncomingMessage): Outcome => {
        const ok = answer.statusCode === 200 && answer.headers['content-length'] === `${size}`;
        return [ok, `${answer.statusCode}, ${says(answer, 'content-length')}`];
      };
      return ask({ range: 'bytes=0-0' }, use, 'HEAD');
    },
  },
];

/** RFC 9110 §8.8: a listener can tell whether the recording is still the same. */
export const versionRules: Rule<Recording>[] = [
  {
    id: 'etag',
    title: 'One strong ETag, the same on 200, 206 and 416',
    repair: 'Derive a strong ETag from the content and send it with every answer (RFC 9110 §8.8.3).',
    async test({ answer, ask, size }) {
      const onPart = await ask({ range: 'bytes=0-0' }, ({ headers }) => headers.etag);
      // An error may go without one; it may not contradict the others.
      const onError = await ask({ range: `bytes=${size}-` }, ({ headers }) => headers.etag ?? onPart);
      const tags = [...new Set([answer.headers.etag, onPart, onError])];
      const ok = tags.length === 1 && strongEtag(answer) !== undefined;
      return [ok, tags.map((tag) => printable(tag ?? 'none')).join(' and ')];
    },
  },
];

export function strongEtag({ headers }: IncomingMessage): string | undefined {
  return /^"[^"]*"$/.test(headers.etag ?? '') ? headers.etag : undefined;
}

/** RFC 9110 §13: what is answered to a listener who has part of it already. */
export const conditionalRules: Rule<Tagged>[] = [
  {
    id: 'not-modified',
    title: 'If-None-Match with its ETag is answered 304',
    repair: 'Compare If-None-Match weakly and answer 304 (RFC 9110 §13.1.2).',
    test: (recording) => answers(recording, { 'if-none-match': `"x", ${recording.etag}` }, 304),
  },
  {
    id: 'etag-before-date',
    title: 'If-None-Match outweighs If-Modified-Since',
    repair: 'Do not look at If-Modified-Since where If-None-Match was sent (RFC 9110 §13.1.3).',
    test: (recording) =>
      answers(recording, { 'if-none-match': '"x"', 'if-modified-since': new Date().toUTCString() }, 200),
  },
  {
    id: 'if-range-same',
    title: 'If-Range with its ETag lets the range through',
    repair: 'Compare If-Range with the ETag and answer 206 where they are equal (RFC 9110 §13.1.5).',
    test: (recording) =>
      exactly(
        recording,
        { range: `bytes=0-${half(recording.size)}`, 'if-range': recording.etag },
        0,
        half(recording.size),
      ),
  },
  {
    id: 'if-range-other',
    title: 'If-Range with another ETag brings the whole, so that no two versions are joined',
    repair: 'Ignore Range where If-Range names another version (RFC 9110 §13.1.5).',
    test: (recording) => answers(recording, { range: 'bytes=0-0', 'if-range': '"another version"' }, 200),
  },
  {
    id: 'if-range-weak',
    title: 'If-Range with a weak ETag brings the whole',
    repair: 'Compare If-Range strongly: W/ never matches (RFC 9110 §13.1.5).',
    test: (recording) => answers(recording, { range: 'bytes=0-0', 'if-range': `W/${recording.etag}` }, 200),
  },
  {
    id: 'if-range-date',
    title: 'If-Range with a later date than Last-Modified brings the whole',
    repair: 'Compare the date of If-Range for equality, not for order (RFC 9110 §13.1.5).',
    test: (recording) =>
      answers(recording, { range: 'bytes=0-0', 'if-range': new Date().toUTCString() }, 200),
  },
];
