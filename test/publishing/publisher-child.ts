// Publishes until it is killed: node test/publishing/publisher-child.ts DATABASE_URL SANDBOX_URL
import { Limiter } from '../../src/hubspot/limiter.ts';
import { openPublishing } from './rig.ts';

const [databaseUrl = '', apiBase = ''] = process.argv.slice(2);
const { dispatcher } = await openPublishing(databaseUrl, {
  apiBase,
  deadlineMs: 400,
  // HubSpot's limits would make this a test of minutes; they have tests of their own.
  limits: () => ({ requests: new Limiter(100, 500), searches: new Limiter(100, 500) }),
  portalLeaseMs: 300,
  outbox: { leaseMs: 1_500, firstDelayMs: 50, longestDelayMs: 1_000, maxAttempts: 1_000 },
  searchDelayMs: 2_500,
});
// Nothing is left behind when the test itself dies.
process.stdin.resume().on('end', () => process.exit());
dispatcher.start();
process.stdout.write('started\n');
