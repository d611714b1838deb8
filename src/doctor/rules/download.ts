import { describeHeader } from '../probe.ts';
import type { Downloaded, Rule } from '../requirement.ts';

/** The response to a plain GET, which HubSpot's transcription sends. */
export const downloadRules: Rule<Downloaded>[] = [
  {
    id: 'octet-stream',
    title: 'It is downloadable as an octet-stream',
    repair: 'Send Content-Type: application/octet-stream.',
    test: ({ response }) => [
      /^application\/octet-stream *(;|$)/i.test(response.headers['content-type'] ?? ''),
      describeHeader(response, 'content-type'),
    ],
  },
  {
    id: 'length',
    title: 'Content-Length is exact, and the bytes are not encoded',
    repair: 'Send Content-Length and no Content-Encoding.',
    test({ response, size }) {
      const { 'content-encoding': encoding = 'identity', 'content-length': length } = response.headers;
      if (encoding !== 'identity') return [false, describeHeader(response, 'content-encoding')];
      // The next rule tests whether the body has this length.
      return [length !== undefined, `${describeHeader(response, 'content-length')}, ${size} received`];
    },
  },
  {
    id: 'whole',
    title: 'A plain GET returns the whole recording',
    repair: 'Send every byte, or break the connection if you cannot.',
    test: ({ size, broken }) => [broken === undefined, broken ?? `${size} bytes`],
  },
  {
    id: 'accept-ranges',
    title: 'It announces that it accepts ranges',
    repair: 'Send Accept-Ranges: bytes (RFC 9110 §14.3).',
    test: ({ response }) => [
      response.headers['accept-ranges'] === 'bytes',
      describeHeader(response, 'accept-ranges'),
    ],
  },
];
