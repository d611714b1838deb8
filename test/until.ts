import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until the condition holds, and returns what it returned then.
 *
 * @param limitMs a busy machine may take long, so the limit only ends what never comes about
 * @throws an Error with the source of the condition if it does not hold in time
 */
export async function until<T>(
  condition: () => T | false | Promise<T | false>,
  limitMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const holds = await condition();
    if (holds) return holds;
    if (performance.now() > deadline) throw new Error(`Not true after ${limitMs} ms: ${condition}`);
    await sleep(10);
  }
}
