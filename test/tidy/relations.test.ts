import t from 'tap';
import { maxCommitDelayMs } from '../../src/db/changes.ts';
import { defaultLeaseMs } from '../../src/db/leases.ts';
import { queryTimeoutMs } from '../../src/db/open.ts';
import { clientMarginMs } from '../../src/db/postgres.ts';
import { renewalLeaseMs } from '../../src/hubspot/installations.ts';
import { requestWindowMs } from '../../src/hubspot/limiter.ts';
import { defaultDeadlineMs } from '../../src/hubspot/request.ts';
import { uploadLeaseMs } from '../../src/ingest/stored-audio.ts';
import { defaultJobLeaseMs } from '../../src/publishing/outbox.ts';
import { defaultSearchDelayMs, searchIndexDelayMs } from '../../src/publishing/publisher.ts';
import { duration, longestTimer } from '../../src/settings/kinds.ts';

const relations: [relation: string, holds: boolean][] = [
  ['a portal lease exceeds the rate-limit window', defaultLeaseMs > requestWindowMs],
  [
    'the search delay is at least the deadline of a request and the delay of the search index together',
    defaultSearchDelayMs >= defaultDeadlineMs + searchIndexDelayMs,
  ],
  ['the lease on a token’s renewal exceeds the deadline of its request', renewalLeaseMs > defaultDeadlineMs],
  ['a job’s lease exceeds the deadline of a request', defaultJobLeaseMs > defaultDeadlineMs],
  ['a pending key’s lease is at least three query timeouts', uploadLeaseMs >= 3 * queryTimeoutMs],
  [
    'the change feed waits for two queries, and for a suspension of the process before each',
    maxCommitDelayMs >= 2 * (queryTimeoutMs + clientMarginMs) + 2 * queryTimeoutMs,
  ],
  [
    'the longest timer of a setting fits Node’s timers',
    duration('0s', longestTimer).parse(longestTimer) < 2 ** 31,
  ],
];

t.test('constants that depend on each other', async (t) => {
  for (const [relation, holds] of relations) t.ok(holds, relation);
});
