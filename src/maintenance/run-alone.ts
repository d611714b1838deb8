import { setTimeout as sleep } from 'node:timers/promises';
import { Leases } from '../db/leases.ts';
import type { Database } from '../db/open.ts';

/** The lease ends by itself if the process is killed. At least three query timeouts, as that of an upload. */
const leaseMs = 30_000;
/** Waits for the end of the lease of a process that was killed. */
const patienceMs = leaseMs + 5_000;
const tryEveryMs = 500;

/**
 * Takes a lease and renews it until the returned function is called.
 *
 * @throws Error with the sentence `otherwise` if another process has the lease and renews it
 */
export async function runAlone(db: Database, lease: string, otherwise: string): Promise<() => Promise<void>> {
  const leases = new Leases(db, leaseMs);
  const deadline = performance.now() + patienceMs;
  while (!(await leases.take(lease))) {
    if (performance.now() > deadline) throw new Error(otherwise);
    await sleep(tryEveryMs);
  }
  const renewal = setInterval(() => leases.take(lease).catch(() => {}), leaseMs / 6);
  return async () => {
    clearInterval(renewal);
    await leases.release(lease).catch(() => {}); // it ends by itself
  };
}
