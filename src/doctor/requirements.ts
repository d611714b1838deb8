import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { Report } from '../audio/report.ts';
import { says } from './probe.ts';

/** `seen` says in a few words what was seen; `repair` goes in the place of the rule's own. */
export type Outcome = [met: boolean | 'unknown', seen: string, repair?: string];

/** One requirement of HubSpot, of its players or of RFC 9110, held against what was seen of an endpoint. */
export interface Rule<Seen> {
  id: string;
  title: string;
  repair: string;
  test(seen: Seen): Outcome | Promise<Outcome>;
}

/** Whether and how a URL answered a GET. */
export interface Answered {
  url: string;
  /** Absent where there was no answer. */
  status: number | undefined;
  /** The status, or why there was no answer. */
  seen: string;
}

/** The answer of the endpoint that gives authenticated URLs. */
export interface Retrieved extends Answered {
  milliseconds: number;
  /** Absent where the answer holds no absolute http or https URL. */
  authenticatedUrl: string | undefined;
}

/** A recording that was served with 200. */
export interface Downloaded {
  answer: IncomingMessage;
  /** Bytes received. */
  size: number;
  /** Why it is not the whole; undefined where it is. */
  broken: string | undefined;
}

/** A recording that was received whole, and can be asked for again. */
export interface Recording extends Downloaded {
  spooled: FileHandle;
  ask<T>(
    headers: Record<string, string>,
    use: (answer: IncomingMessage) => T | Promise<T>,
    method?: string,
  ): Promise<T>;
}

export interface Tagged extends Recording {
  /** Strong. */
  etag: string;
}

function isSafe(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

export const retrieveRules: Rule<Retrieved>[] = [
  {
    id: 'retrieve-https',
    title: 'The endpoint is reached by https, or is on this machine',
    repair: 'Register an https:// URL; HubSpot takes no other.',
    test: ({ url }) => [isSafe(url), new URL(url).origin],
  },
  {
    id: 'retrieve-direct',
    title: 'The endpoint answers itself: no redirect, no login',
    repair: 'Answer HubSpot’s request where it arrives; it brings no cookie and no login.',
    test: ({ status, seen }) =>
      status === undefined
        ? [false, seen, 'Nothing answered: start the endpoint, or correct its URL.']
        : [!isRefusal(status), seen],
  },
  {
    id: 'retrieve-fast',
    title: 'The endpoint answers within 5 seconds',
    repair: 'Do no audio work while HubSpot waits for the URL.',
    test: ({ status, milliseconds }) =>
      status === undefined
        ? ['unknown', 'no answer']
        : [milliseconds < 5000, `${Math.round(milliseconds)} ms`],
  },
  {
    id: 'retrieve-json',
    title: 'The answer is JSON with an absolute "authenticatedUrl"',
    repair: 'Answer 200 with {"authenticatedUrl": "https://…"}.',
    test({ status = 0, seen, authenticatedUrl }) {
      if (status === 0 || isRefusal(status)) return ['unknown', 'no answer of its own'];
      const ok = status === 200 && authenticatedUrl !== undefined;
      return [ok, `${seen}, ${ok ? 'authenticatedUrl' : 'no usable authenticatedUrl'}`];
    },
  },
];

function isRefusal(status: number): boolean {
  return (status >= 300 && status < 400) || status === 401 || status === 403;
}

export const answerRules: Rule<Answered>[] = [
  {
    id: 'stream-https',
    title: 'The recording is reached by https, or is on this machine',
    repair: 'Give an https:// URL: a page served by https plays no other.',
    test: ({ url }) => [isSafe(url), new URL(url).origin],
  },
  {
    id: 'stream-direct',
    title: 'The recording is served at its URL: no redirect, no login',
    repair: 'Put what authorises into the URL itself and serve the bytes there.',
    test: ({ status, seen }) => [status === 200, seen],
  },
];

export const wholeRules: Rule<Downloaded>[] = [
  {
    id: 'octet-stream',
    title: 'It is downloadable as an octet-stream',
    repair: 'Send Content-Type: application/octet-stream.',
    test: ({ answer }) => [
      /^application\/octet-stream *(;|$)/i.test(answer.headers['content-type'] ?? ''),
      says(answer, 'content-type'),
    ],
  },
  {
    id: 'length',
    title: 'Content-Length is exact, and the bytes are not encoded',
    repair: 'Send Content-Length and no Content-Encoding.',
    test({ answer, size }) {
      const { 'content-encoding': encoding = 'identity', 'content-length': length } = answer.headers;
      if (encoding !== 'identity') return [false, says(answer, 'content-encoding')];
      // A body cut short by its own end is the next requirement's.
      return [length !== undefined, `${says(answer, 'content-length')}, ${size} received`];
    },
  },
  {
    id: 'whole',
    title: 'A plain GET brings the whole recording',
    repair: 'Send every byte, or break the connection where you cannot.',
    test: ({ size, broken }) => [broken === undefined, broken ?? `${size} bytes`],
  },
  {
    id: 'accept-ranges',
    title: 'It says that it takes ranges',
    repair: 'Send Accept-Ranges: bytes (RFC 9110 §14.3).',
    test: ({ answer }) => [answer.headers['accept-ranges'] === 'bytes', says(answer, 'accept-ranges')],
  },
];

const browser = { origin: 'https://app.hubspot.com' };

/** Whether a player on a page of another origin may read the recording and know where it is (Fetch, §3.2). */
export const corsRules: Rule<Recording>[] = [
  {
    id: 'cors-allow',
    title: 'Any page may read it',
    repair: 'Send Access-Control-Allow-Origin: * with every answer to GET, ranges included.',
    test: ({ ask }) =>
      ask({ ...browser, range: 'bytes=0-0' }, (answer) => [
        allows(answer),
        says(answer, 'access-control-allow-origin'),
      ]),
  },
  {
    id: 'cors-expose',
    title: 'A page may see where it is in the recording',
    repair: 'Send Access-Control-Expose-Headers: Accept-Ranges, Content-Length, Content-Range, ETag.',
    test: ({ ask }) =>
      ask({ ...browser, range: 'bytes=0-0' }, (answer) => [
        lists(answer, 'access-control-expose-headers', ['accept-ranges', 'content-range', 'etag']),
        says(answer, 'access-control-expose-headers'),
      ]),
  },
  {
    id: 'cors-preflight',
    title: 'A page may ask for ranges',
    repair: 'Answer OPTIONS with 204 and Access-Control-Allow-Headers: Range, If-Range.',
    test({ ask }) {
      const wanted = {
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'if-range,range',
      };
      const use = (answer: IncomingMessage): Outcome => {
        const ok = Math.floor(answer.statusCode! / 100) === 2 && allows(answer);
        const seen = `${answer.statusCode}, ${says(answer, 'access-control-allow-headers')}`;
        return [ok && lists(answer, 'access-control-allow-headers', ['range', 'if-range']), seen];
      };
      return ask({ ...browser, ...wanted }, use, 'OPTIONS');
    },
  },
];

function allows({ headers }: IncomingMessage): boolean {
  return ['*', browser.origin].includes(headers['access-control-allow-origin'] ?? '');
}

function lists({ headers }: IncomingMessage, name: string, wanted: string[]): boolean {
  const listed = String(headers[name] ?? '')
    .toLowerCase()
    .split(',')
    .map((item) => item.trim());
  return listed.includes('*') || wanted.every((item) => listed.includes(item));
}

/** What the channel check of the caller says; codes and repairs are its own. */
export const audioRules: Rule<Report>[] = [
  {
    id: 'audio-format',
    title: 'It is WAV, FLAC or MP4, by its content',
    repair: 'Export the recording as WAV, FLAC or MP4.',
    test: ({ audio }) => [
      audio.container !== undefined,
      [audio.container ?? 'another format', audio.codec].filter(Boolean).join(', '),
    ],
  },
  {
    id: 'audio-channels',
    title: 'It can be transcribed: the caller alone on channel 1, the recipient alone on channel 2',
    repair: 'Record with one speaker per channel.',
    test({ verdict, codes, repairs }) {
      const met = verdict === 'inconclusive' ? 'unknown' : verdict === 'pass';
      const [repair] = Object.values(repairs);
      return repair === undefined ? [met, codes.join(', ')] : [met, codes.join(', '), repair];
    },
  },
];
