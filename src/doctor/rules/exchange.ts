import { differenceFrom } from '../body.ts';
import { describeHeader } from '../probe.ts';
import type { Outcome, Recording } from '../requirement.ts';

/** Requires 206 with Content-Range and exactly the bytes `first` to `last`. */
export function requireRange(
  { request, size, spooled }: Recording,
  headers: Record<string, string>,
  { first, last }: { first: number; last: number },
): Promise<Outcome> {
  return request(headers, async (response) => {
    const seen = `${response.statusCode}, ${describeHeader(response, 'content-range')}`;
    const isRight = response.headers['content-range'] === `bytes ${first}-${last}/${size}`;
    if (response.statusCode !== 206 || !isRight) return [false, seen];
    const difference = await differenceFrom(response, spooled, { first, last });
    return difference === undefined ? [true, seen] : [false, `${seen}, ${difference}`];
  });
}

/** Requires a response with one of these statuses. */
export function requireStatus(
  { request }: Recording,
  headers: Record<string, string>,
  ...statuses: number[]
): Promise<Outcome> {
  return request(headers, ({ statusCode }) => [statuses.includes(statusCode!), `${statusCode}`]);
}

/** A position in the middle of the recording. */
export function middleOf(size: number): number {
  return Math.floor(size / 2);
}
