import type { IncomingMessage } from 'node:http';
import { describeHeader } from '../probe.ts';
import type { Outcome, Recording, Rule } from '../requirement.ts';

const browser = { origin: 'https://app.hubspot.com' };

/** What a player on a page of another origin needs to read the recording and its position (Fetch, §3.2). */
export const corsRules: Rule<Recording>[] = [
  {
    id: 'cors-allow',
    title: 'Any page may read it',
    repair: 'Send Access-Control-Allow-Origin: * with every response to GET, ranges included.',
    test: ({ request }) =>
      request({ ...browser, range: 'bytes=0-0' }, (response) => [
        allowsOrigin(response),
        describeHeader(response, 'access-control-allow-origin'),
      ]),
  },
  {
    id: 'cors-expose',
    title: 'A page may read Accept-Ranges, Content-Range and ETag',
    repair: 'Send Access-Control-Expose-Headers: Accept-Ranges, Content-Length, Content-Range, ETag.',
    test: ({ request }) =>
      request({ ...browser, range: 'bytes=0-0' }, (response) => [
        lists(response, 'access-control-expose-headers', ['accept-ranges', 'content-range', 'etag']),
        describeHeader(response, 'access-control-expose-headers'),
      ]),
  },
  {
    id: 'cors-preflight',
    title: 'A page may request ranges',
    repair: 'Respond to OPTIONS with 204 and Access-Control-Allow-Headers: Range, If-Range.',
    test: ({ request }) =>
      request(
        {
          ...browser,
          'access-control-request-method': 'GET',
          'access-control-request-headers': 'if-range,range',
        },
        preflightOutcome,
        'OPTIONS',
      ),
  },
];

function preflightOutcome(response: IncomingMessage): Outcome {
  const isAllowed = Math.floor(response.statusCode! / 100) === 2 && allowsOrigin(response);
  const seen = `${response.statusCode}, ${describeHeader(response, 'access-control-allow-headers')}`;
  return [isAllowed && lists(response, 'access-control-allow-headers', ['range', 'if-range']), seen];
}

function allowsOrigin({ headers }: IncomingMessage): boolean {
  return ['*', browser.origin].includes(headers['access-control-allow-origin'] ?? '');
}

function lists({ headers }: IncomingMessage, name: string, wanted: string[]): boolean {
  const listed = String(headers[name] ?? '')
    .toLowerCase()
    .split(',')
    .map((item) => item.trim());
  return listed.includes('*') || wanted.every((item) => listed.includes(item));
}
