import type { Retrieved, Rule } from '../requirement.ts';
import { isSecure } from './fetch.ts';

const limitMs = 5_000;

/** The endpoint for authenticated URLs, as HubSpot uses it. */
export const retrieveRules: Rule<Retrieved>[] = [
  {
    id: 'retrieve-https',
    title: 'The endpoint uses https or is on this machine',
    repair: 'Register an https:// URL. HubSpot accepts no other.',
    test: ({ url }) => [isSecure(url), new URL(url).origin],
  },
  {
    id: 'retrieve-direct',
    title: 'The endpoint responds without redirect and without login',
    repair: 'Respond at the registered URL. HubSpot sends no cookie and no login.',
    test: ({ status, seen }) =>
      status === undefined
        ? [false, seen, 'Start the endpoint, or correct its URL.']
        : [!isElsewhere(status), seen],
  },
  {
    id: 'retrieve-fast',
    title: 'The endpoint responds within 5 seconds',
    repair: 'Do no audio work while HubSpot waits for the URL.',
    test: ({ status, milliseconds }) =>
      status === undefined
        ? ['unknown', 'no response']
        : [milliseconds < limitMs, `${Math.round(milliseconds)} ms`],
  },
  {
    id: 'retrieve-json',
    title: 'The response is JSON with an absolute "authenticatedUrl"',
    repair: 'Respond with 200 and {"authenticatedUrl": "https://…"}.',
    test({ status = 0, seen, authenticatedUrl }) {
      if (status === 0 || isElsewhere(status)) return ['unknown', 'no response of its own'];
      const ok = status === 200 && authenticatedUrl !== undefined;
      return [ok, `${seen}, ${ok ? 'authenticatedUrl' : 'no usable authenticatedUrl'}`];
    },
  },
];

/** Whether the response is a redirect or requires a login. */
function isElsewhere(status: number): boolean {
  return (status >= 300 && status < 400) || status === 401 || status === 403;
}
