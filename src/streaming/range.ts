import type { IncomingHttpHeaders } from 'node:http';
import type { ByteRange, Representation } from '../origins/origin.ts';

/** The response, decided before a byte is sent. */
export interface Selection {
  status: 200 | 206 | 304 | 412 | 416;
  /**
   * Names in lower case. The caller adds the headers that do not depend on the request: `cache-control`, and
   * `content-type` if it is not here. It is here for multipart/byteranges only.
   */
  headers: Record<string, string>;
  /** In order: ranges to read from the origin, and the bytes that multipart puts between them. */
  body: (ByteRange | Uint8Array)[];
  kind: 'whole' | 'range' | 'ranges' | 'none';
}

/** A Range header with more ranges is ignored. §14.2 allows that for many small ranges. */
export const maxRanges = 50;

/**
 * RFC 9110 §13 and §14 for one representation: preconditions in the order of §13.2.2, then Range. Sections
 * below are of that RFC. Call it only if the response would otherwise be 200 (§13.2.1).
 *
 * No byte is sent twice. So for any request, the response is at most as long as the representation and
 * `maxRanges` part headers.
 *
 * @param method GET or HEAD
 * @param headers as Node gives them: names in lower case, repeated lines joined with a comma. Range is not
 *   a list (§14.2), so two lines make a malformed one, which is ignored.
 * @param contentType of the representation; each part of a multipart/byteranges has it
 * @param now milliseconds since the epoch; dates are compared with it
 */
export function select(
  method: string,
  headers: IncomingHttpHeaders,
  representation: Representation,
  contentType: string,
  now = Date.now(),
): Selection {
  const { size, etag } = representation;
  // An HTTP date has whole seconds, and Last-Modified is never in the future (§8.8.2.1).
  const lastModifiedMs = toWholeSecond(Math.min(representation.lastModified.getTime(), now));
  const common = { 'accept-ranges': 'bytes', etag };
  const dated = { ...common, 'last-modified': new Date(lastModifiedMs).toUTCString() };

  const failed = failedPrecondition(headers, etag, lastModifiedMs, now);
  if (failed === 412) {
    return { status: 412, headers: { ...dated, 'content-length': '0' }, body: [], kind: 'none' };
  }
  // §15.4.5: a 304 repeats the validator and the headers for caches, and no other metadata.
  if (failed === 304) return { status: 304, headers: common, body: [], kind: 'none' };

  const whole = { status: 200, headers: { ...dated, 'content-length': `${size}` } } as const;
  // §14.2: Range is defined for GET only.
  if (method === 'HEAD') return { ...whole, body: [], kind: 'none' };

  const ranges =
    headers.range !== undefined && ifRangeHolds(headers['if-range']?.toString(), etag, lastModifiedMs, now)
      ? parseRanges(headers.range, size)
      : 'ignored';
  if (ranges === 'ignored') {
    return { ...whole, body: size > 0 ? [{ first: 0, last: size - 1 }] : [], kind: 'whole' };
  }

  const [range, ...more] = coalesce(ranges);
  if (range === undefined) {
    const unsatisfiable = { 'content-length': '0', 'content-range': `bytes */${size}` };
    return { status: 416, headers: { ...dated, ...unsatisfiable }, body: [], kind: 'none' };
  }
  // §15.3.7.2: one range needs no multipart.
  if (more.length === 0) {
    const single = { 'content-length': `${lengthOf(range)}`, 'content-range': contentRange(range, size) };
    return { status: 206, headers: { ...dated, ...single }, body: [range], kind: 'range' };
  }
  const parts = multipart([range, ...more], size, contentType);
  return { status: 206, headers: { ...dated, ...parts.headers }, body: parts.body, kind: 'ranges' };
}

// ---- Preconditions (§13) ----

/** §13.2.2, steps 1 to 4: the status of the response if a precondition fails. */
function failedPrecondition(
  headers: IncomingHttpHeaders,
  etag: string,
  lastModifiedMs: number,
  now: number,
): 304 | 412 | undefined {
  const ifMatch = headers['if-match'];
  const ifNoneMatch = headers['if-none-match'];

  // A date counts only if the field with entity tags is absent (§13.1.3, §13.1.4).
  if (ifMatch !== undefined) {
    if (!lists(ifMatch, etag, sameStrongly)) return 412;
  } else {
    const unmodifiedSince = parseHttpDate(headers['if-unmodified-since'], now);
    if (unmodifiedSince !== undefined && lastModifiedMs > unmodifiedSince) return 412;
  }

  if (ifNoneMatch !== undefined) {
    if (lists(ifNoneMatch, etag, sameWeakly)) return 304;
  } else {
    const modifiedSince = parseHttpDate(headers['if-modified-since'], now);
    if (modifiedSince !== undefined && lastModifiedMs <= modifiedSince) return 304;
  }
  return undefined;
}

/**
 * §13.1.5. A date is a strong validator once its second is over: no later change can have the same date
 * (§8.8.2.2). A client may only send a date that was strong when it received it.
 */
function ifRangeHolds(field: string | undefined, etag: string, lastModifiedMs: number, now: number): boolean {
  if (field === undefined || sameStrongly(field, etag)) return true;
  return parseHttpDate(field, now) === lastModifiedMs && lastModifiedMs + 1000 <= now;
}

/** §8.8.3.2 */
function sameStrongly(one: string, other: string): boolean {
  return one === other && !one.startsWith('W/');
}

/** §8.8.3.2 */
function sameWeakly(one: string, other: string): boolean {
  return one.replace(/^W\//, '') === other.replace(/^W\//, '');
}

/** One element of a list of entity tags, up to its comma or the end. It may be empty (§5.6.1.2). */
const listedTag = /[ \t]*(?:((?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*)?(?:,|$)/gy;

/** Whether `"*" / #entity-tag` names `etag`. A malformed list names nothing, so no wrong bytes come of it. */
function lists(field: string, etag: string, same: (one: string, other: string) => boolean): boolean {
  if (field === '*') return true;
  const elements = [...field.matchAll(listedTag)];
  // `listedTag` is sticky: the elements follow each other from the start, up to the first malformed one.
  const matchedLength = elements.reduce((length, [text]) => length + text.length, 0);
  const isWellFormed = matchedLength === field.length;
  return isWellFormed && elements.some(([, tag]) => tag !== undefined && same(tag, etag));
}

// ---- Dates (§5.6.7) ----

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const month = `(?<month>${months.join('|')})`;
const time = '(?<hour>[01]\\d|2[0-3]):(?<minute>[0-5]\\d):(?<second>[0-5]\\d|60)';
const dateFormats = [
  new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?<day>\\d\\d) ${month} (?<year>\\d{4}) ${time} GMT$`),
  new RegExp(
    `^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?<day>\\d\\d)-${month}-(?<year>\\d\\d) ${time} GMT$`,
  ),
  new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${month} (?<day>[ \\d]\\d) ${time} (?<year>\\d{4})$`),
];

/** An HTTP-date in any of its three formats, in milliseconds. undefined for anything else, which is ignored. */
function parseHttpDate(field: string | undefined, now: number): number | undefined {
  if (field === undefined) return undefined;
  const parts = dateFormats.map((format) => format.exec(field)?.groups).find(Boolean);
  if (!parts) return undefined;
  const monthIndex = months.indexOf(parts.month!);
  const day = Number(parts.day);
  let year = Number(parts.year);
  if (parts.year!.length === 2) {
    year += Math.floor(new Date(now).getUTCFullYear() / 100) * 100;
    // §5.6.7: a date that seems more than 50 years ahead is in the past.
    if (Date.UTC(year - 50, monthIndex, day) > now) year -= 100;
  }
  const midnight = new Date(0).setUTCFullYear(year, monthIndex, day); // Date.UTC would take year 50 for 1950
  if (new Date(midnight).getUTCDate() !== day) return undefined; // 31 February
  return midnight + (Number(parts.hour) * 3600 + Number(parts.minute) * 60 + Number(parts.second)) * 1000;
}

/** Rounds down to a whole second. */
function toWholeSecond(timeMs: number): number {
  return Math.floor(timeMs / 1000) * 1000;
}

// ---- Ranges (§14) ----

/**
 * The satisfiable ranges of a Range field, clamped, in the order of the request. Empty if there is none (416).
 * 'ignored' if the unit is not bytes, an element is malformed (§14.2), or the set is too long.
 */
function parseRanges(field: string, size: number): ByteRange[] | 'ignored' {
  const set = /^bytes=(?![ \t])(.*)$/i.exec(field)?.[1] ?? '';
  // §5.6.1.2: a list may have empty elements.
  const specs = set.split(',').filter((spec) => /[^ \t]/.test(spec));
  if (specs.length === 0 || specs.length > maxRanges) return 'ignored';

  const ranges: ByteRange[] = [];
  for (const spec of specs) {
    const [match, first, last, suffix] = /^[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*$/.exec(spec) ?? [];
    if (match === undefined) return 'ignored';
    const range = suffix === undefined ? intRange(first!, last!, size) : suffixRange(suffix, size);
    if (range === 'ignored') return 'ignored';
    if (range.first < size) ranges.push(range);
  }
  return ranges;
}

/** §14.1.2. A position can have any number of digits. Number() rounds only above 2^53, past the end of every file. */
function intRange(first: string, last: string, size: number): ByteRange | 'ignored' {
  if (last === '') return { first: Number(first), last: size - 1 };
  if (BigInt(last) < BigInt(first)) return 'ignored';
  return { first: Number(first), last: Math.min(Number(last), size - 1) };
}

/**
 * §14.1.2. The last 0 bytes are unsatisfiable: their first position is past the end. The last bytes of an
 * empty file are satisfiable, but no Content-Range can name them, so the response is the whole.
 */
function suffixRange(length: string, size: number): ByteRange | 'ignored' {
  if (size === 0 && Number(length) > 0) return 'ignored';
  return { first: Math.max(0, size - Number(length)), last: size - 1 };
}

/** Merges ranges that overlap or touch. The others stay in the order of the request (§15.3.7.2). */
function coalesce(ranges: ByteRange[]): ByteRange[] {
  const merged: { first: number; last: number; order: number }[] = [];
  const ascending = ranges.map((range, order) => ({ ...range, order })).sort((a, b) => a.first - b.first);
  for (const range of ascending) {
    const previous = merged.at(-1);
    if (previous && range.first <= previous.last + 1) {
      previous.last = Math.max(previous.last, range.last);
      previous.order = Math.min(previous.order, range.order);
    } else {
      merged.push(range);
    }
  }
  return merged.sort((a, b) => a.order - b.order).map(({ first, last }) => ({ first, last }));
}

/** §14.6. The boundary is random: a predictable one could be in a recording. */
function multipart(ranges: ByteRange[], size: number, contentType: string) {
  const boundary = crypto.randomUUID();
  const parts = ranges.map((range, index) => {
    const fields = `Content-Type: ${contentType}\r\nContent-Range: ${contentRange(range, size)}`;
    return [bytesOf(`${index === 0 ? '' : '\r\n'}--${boundary}\r\n${fields}\r\n\r\n`), range];
  });
  const body = [...parts.flat(), bytesOf(`\r\n--${boundary}--\r\n`)];
  const length = body.reduce((sum, segment) => sum + lengthOf(segment), 0);
  const headers = {
    'content-length': `${length}`,
    'content-type': `multipart/byteranges; boundary=${boundary}`,
  };
  return { headers, body };
}

function contentRange({ first, last }: ByteRange, size: number): string {
  return `bytes ${first}-${last}/${size}`;
}

function lengthOf(segment: ByteRange | Uint8Array): number {
  return segment instanceof Uint8Array ? segment.length : segment.last - segment.first + 1;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
