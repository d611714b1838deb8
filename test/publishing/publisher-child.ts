// Publishes until it is killed: node test/publishing/publisher-child.ts DATABASE_URL SANDBOX_URL
import { Limiter } from '../../src/hubspot/limiter.ts';
import { openPublishing } from './rig.ts';

const [databaseUrl = '', apiBase = ''] = process.argv.slice(2);
const { dispatcher } = await openPublishing(databaseUrl, {
  apiBase,
  deadlineMs: 400,
  // With HubSpot's own limits this test would take minutes. limiter.test.ts tests the limits.
  limits: () => ({ requests: new Limiter(100, 500), searches: new Limiter(100, 500) }),
  leaseMs: 300,
  outbox: { leaseMs: 1_500, firstDelayMs: 50, longestDelayMs: 1_000, maxAttempts: 1_000 },
  searchDelayMs: 2_500,
});
// This process ends with the test, even if the test is killed.
process.stdin.resume().on('end', () => process.exit());
dispatcher.start();
process.stdout.write('started\n');
