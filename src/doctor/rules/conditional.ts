import type { IncomingMessage } from 'node:http';
import { printable } from '../probe.ts';
import type { Recording, Rule, TaggedRecording } from '../requirement.ts';
import { middleOf, requireRange, requireStatus } from './exchange.ts';

/** RFC 9110 §8.8: a player can see whether the recording is still the same. */
export const etagRules: Rule<Recording>[] = [
  {
    id: 'etag',
    title: 'One strong ETag, the same on 200, 206 and 416',
    repair: 'Derive a strong ETag from the content and send it with every response (RFC 9110 §8.8.3).',
    async test({ response, request, size }) {
      const onPart = await request({ range: 'bytes=0-0' }, ({ headers }) => headers.etag);
      // An error may have no ETag, but not another one.
      const onError = await request({ range: `bytes=${size}-` }, ({ headers }) => headers.etag ?? onPart);
      const tags = [...new Set([response.headers.etag, onPart, onError])];
      const ok = tags.length === 1 && strongEtag(response) !== undefined;
      return [ok, tags.map((tag) => printable(tag ?? 'none')).join(' and ')];
    },
  },
];

export function strongEtag({ headers }: IncomingMessage): string | undefined {
  return /^"[^"]*"$/.test(headers.etag ?? '') ? headers.etag : undefined;
}

/** RFC 9110 §13: the responses to a player that has a part of the recording. */
export const conditionalRules: Rule<TaggedRecording>[] = [
  {
    id: 'not-modified',
    title: 'If-None-Match with its ETag returns 304',
    repair: 'Compare If-None-Match weakly and respond with 304 (RFC 9110 §13.1.2).',
    test: (recording) => requireStatus(recording, { 'if-none-match': `"x", ${recording.etag}` }, 304),
  },
  {
    id: 'etag-before-date',
    title: 'If-None-Match takes precedence over If-Modified-Since',
    repair: 'Ignore If-Modified-Since if If-None-Match is sent (RFC 9110 §13.1.3).',
    test: (recording) =>
      requireStatus(recording, { 'if-none-match': '"x"', 'if-modified-since': now() }, 200),
  },
  {
    id: 'if-range-same',
    title: 'If-Range with its ETag returns the range',
    repair: 'Compare If-Range with the ETag and respond with 206 if they are equal (RFC 9110 §13.1.5).',
    test(recording) {
      const last = middleOf(recording.size);
      const headers = { range: `bytes=0-${last}`, 'if-range': recording.etag };
      return requireRange(recording, headers, { first: 0, last });
    },
  },
  {
    id: 'if-range-other',
    title: 'If-Range with another ETag returns the whole, so that no player joins two versions',
    repair: 'Ignore Range if If-Range names another version (RFC 9110 §13.1.5).',
    test: (recording) =>
      requireStatus(recording, { range: 'bytes=0-0', 'if-range': '"another version"' }, 200),
  },
  {
    id: 'if-range-weak',
    title: 'If-Range with a weak ETag returns the whole',
    repair: 'Compare If-Range strongly: W/ never matches (RFC 9110 §13.1.5).',
    test: (recording) =>
      requireStatus(recording, { range: 'bytes=0-0', 'if-range': `W/${recording.etag}` }, 200),
  },
  {
    id: 'if-range-date',
    title: 'If-Range with a later date than Last-Modified returns the whole',
    repair: 'Compare the date of If-Range for equality, not for order (RFC 9110 §13.1.5).',
    test: (recording) => requireStatus(recording, { range: 'bytes=0-0', 'if-range': now() }, 200),
  },
];

function now(): string {
  return new Date().toUTCString();
}
