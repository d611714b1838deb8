import type { IncomingMessage } from 'node:http';
import { countBytes } from '../body.ts';
import { describeHeader } from '../probe.ts';
import type { Outcome, Recording, Rule } from '../requirement.ts';
import { middleOf, requireRange, requireStatus } from './exchange.ts';

/** A Range field and the bytes that it selects. */
interface RangeCase {
  field: string;
  first: number;
  last: number;
}

/** A rule that requires 206 and exactly the bytes of a range. `size` is that of the recording. */
function rangeRule(
  id: string,
  title: string,
  caseFor: (size: number) => RangeCase,
  repair = 'Respond with 206, Content-Range and exactly these bytes (RFC 9110 §15.3.7).',
): Rule<Recording> {
  return {
    id,
    title,
    repair,
    test(recording) {
      const { field, first, last } = caseFor(recording.size);
      return requireRange(recording, { range: field }, { first, last });
    },
  };
}

/** RFC 9110 §14: seeking. */
export const rangeRules: Rule<Recording>[] = [
  rangeRule('range-open', 'bytes=0- returns 206, which tells players that they can seek', (size) => ({
    field: 'bytes=0-',
    first: 0,
    last: size - 1,
  })),
  rangeRule('range-one-byte', 'bytes=0-0 returns one byte', () => ({
    field: 'bytes=0-0',
    first: 0,
    last: 0,
  })),
  rangeRule('range-first', 'A range at the beginning', (size) => {
    const last = Math.min(1023, middleOf(size));
    return { field: `bytes=0-${last}`, first: 0, last };
  }),
  rangeRule('range-middle', 'A range in the middle, as for a seek', (size) => {
    const first = middleOf(size);
    const last = Math.min(first + 65_535, size - 1);
    return { field: `bytes=${first}-${last}`, first, last };
  }),
  rangeRule('range-rest', 'A range from the middle to the end', (size) => ({
    field: `bytes=${middleOf(size)}-`,
    first: middleOf(size),
    last: size - 1,
  })),
  rangeRule('range-suffix', 'A suffix range returns the last bytes', (size) => {
    const length = Math.min(1024, size);
    return { field: `bytes=-${length}`, first: size - length, last: size - 1 };
  }),
  rangeRule(
    'range-long-suffix',
    'A suffix longer than the recording returns the whole',
    (size) => ({ field: `bytes=-${size + 1000}`, first: 0, last: size - 1 }),
    'Respond with 206 and the whole (RFC 9110 §14.1.2).',
  ),
  rangeRule(
    'range-clamped',
    'A range that goes beyond the end stops at the end',
    (size) => ({ field: `bytes=${middleOf(size)}-${size + 1000}`, first: middleOf(size), last: size - 1 }),
    'Limit the last position to the last byte of the recording (RFC 9110 §14.1.2).',
  ),
  rangeRule(
    'range-unit-case',
    'The range unit is case-insensitive',
    () => ({ field: 'BYTES=0-0', first: 0, last: 0 }),
    'Compare the range unit without regard to case (RFC 9110 §14.1).',
  ),
  {
    id: 'range-malformed',
    title: 'A malformed range is not applied in part',
    repair: 'Ignore a Range field with any malformed element: respond with 200 (RFC 9110 §14.2).',
    test: (recording) => requireStatus(recording, { range: 'bytes=0-3junk' }, 200, 416, 400),
  },
  {
    id: 'range-several',
    title: 'Several ranges return 206 or the whole',
    repair: 'Send multipart/byteranges, or ignore the field and send 200 (RFC 9110 §15.3.7.2).',
    test: (recording) => requireStatus(recording, { range: 'bytes=0-0,-1' }, 200, 206),
  },
  {
    id: 'range-overlapping',
    title: 'Overlapping ranges do not multiply the response',
    repair: 'Coalesce overlapping ranges and limit their number (RFC 9110 §14.2).',
    test({ request, size }) {
      const range = `bytes=${Array<string>(20).fill(`0-${Math.min(size, 1_048_576) - 1}`)}`;
      const limit = size + 65_536;
      return request({ range }, async (response) => {
        const received = await countBytes(response, limit);
        const bytes = received > limit ? `more than ${limit} bytes` : `${received} bytes`;
        return [received <= limit, `${response.statusCode}, ${bytes}`];
      });
    },
  },
  {
    id: 'range-unsatisfiable',
    title: 'A range beyond the end returns 416 with the size',
    repair: 'Respond with 416 and Content-Range: bytes */SIZE (RFC 9110 §15.5.17).',
    test: ({ request, size }) =>
      request({ range: `bytes=${size}-` }, (response) => {
        const ok = response.statusCode === 416 && response.headers['content-range'] === `bytes */${size}`;
        return [ok, `${response.statusCode}, ${describeHeader(response, 'content-range')}`];
      }),
  },
  {
    id: 'head',
    title: 'HEAD returns the whole size, also with a range',
    repair: 'Respond to HEAD as to GET without Range, and send no body (RFC 9110 §9.3.2, §14.2).',
    test({ request, size }) {
      const use = (response: IncomingMessage): Outcome => {
        const ok = response.statusCode === 200 && response.headers['content-length'] === `${size}`;
        return [ok, `${response.statusCode}, ${describeHeader(response, 'content-length')}`];
      };
      return request({ range: 'bytes=0-0' }, use, 'HEAD');
    },
  },
];
