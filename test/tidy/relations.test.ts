import t from 'tap';
import { renewalLeaseMs } from '../../src/hubspot/installations.ts';
import { requestWindowMs } from '../../src/hubspot/limiter.ts';
import { defaultDeadlineMs } from '../../src/hubspot/request.ts';
import { defaultJobLeaseMs } from '../../src/publishing/outbox.ts';
import { defaultPortalLeaseMs } from '../../src/publishing/portal-leases.ts';
import { defaultSearchDelayMs, searchIndexDelayMs } from '../../src/publishing/publisher.ts';

const relations: [relation: string, holds: boolean][] = [
  ['a portal lease exceeds the rate-limit window', defaultPortalLeaseMs > requestWindowMs],
  [
    'a search for a call lasts as long as a request and the search index',
    defaultSearchDelayMs >= defaultDeadlineMs + searchIndexDelayMs,
  ],
  ['the lease on a token’s renewal exceeds the deadline of its request', renewalLeaseMs > defaultDeadlineMs],
  ['a job’s lease exceeds the deadline of a request', defaultJobLeaseMs > defaultDeadlineMs],
];

t.test('constants that depend on each other', async (t) => {
  for (const [relation, holds] of relations) t.ok(holds, relation);
});
