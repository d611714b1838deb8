import type { Fetched, Rule } from '../requirement.ts';

/** The URL of a recording. */
export const fetchRules: Rule<Fetched>[] = [
  {
    id: 'stream-https',
    title: 'The recording uses https or is on this machine',
    repair: 'Return an https:// URL. A page served by https plays no other.',
    test: ({ url }) => [isSecure(url), new URL(url).origin],
  },
  {
    id: 'stream-direct',
    title: 'The recording is served at its URL, without redirect and without login',
    repair: 'Put the credentials into the URL and serve the bytes there.',
    test: ({ status, seen }) => [status === 200, seen],
  },
];

/** Whether a URL uses https or is on the loopback address. */
export function isSecure(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}
