import t from 'tap';
import { maxCommitDelayMs } from '../../src/db/changes.ts';
import { queryTimeoutMs } from '../../src/db/open.ts';
import { clientMarginMs } from '../../src/db/postgres.ts';
import { renewalLeaseMs } from '../../src/hubspot/installations.ts';
import { requestWindowMs } from '../../src/hubspot/limiter.ts';
import { defaultDeadlineMs } from '../../src/hubspot/request.ts';
import { uploadLeaseMs } from '../../src/ingest/stored-audio.ts';
import { defaultJobLeaseMs } from '../../src/publishing/outbox.ts';
import { defaultPortalLeaseMs } from '../../src/publishing/portal-leases.ts';
import { defaultSearchDelayMs, searchIndexDelayMs } from '../../src/publishing/publisher.ts';
import { duration, longestTimer } from '../../src/settings/kinds.ts';

const relations: [relation: string, holds: boolean][] = [
  ['a portal lease exceeds the rate-limit window', defaultPortalLeaseMs > requestWindowMs],
  [
    'a search for a call lasts as long as a request and the search index',
    defaultSearchDelayMs >= defaultDeadlineMs + searchIndexDelayMs,
  ],
  ['the lease on a token’s renewal exceeds the deadline of its request', renewalLeaseMs > defaultDeadlineMs],
  ['a job’s lease exceeds the deadline of a request', defaultJobLeaseMs > defaultDeadlineMs],
  ['a pending key’s lease is three query timeouts', uploadLeaseMs >= 3 * queryTimeoutMs],
  [
    'the change feed waits for two queries and a process that is suspended before each',
    maxCommitDelayMs >= 2 * (queryTimeoutMs + clientMarginMs) + 2 * queryTimeoutMs,
  ],
  ['the longest timer fits Node’s', duration('0s', longestTimer).parse(longestTimer) < 2 ** 31],
];

t.test('constants that depend on each other', async (t) => {
  for (const [relation, holds] of relations) t.ok(holds, relation);
});
