import fc from 'fast-check';
import t from 'tap';
import { Limiter } from '../../src/hubspot/limiter.ts';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The highest number of times in any window. */
function mostIn(windowMs: number, times: number[]): number {
  return Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length));
}

t.test('no window has more requests than the limit, whatever the latency', async (t) => {
  const latencies = fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 20, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(latencies, fc.integer({ min: 1, max: 7 }), async (delays, limit) => {
      const limiter = new Limiter(limit, 20);
      const counted: number[] = [];
      await Promise.all(
        delays.map((delay) =>
          limiter.run(async () => {
            // HubSpot counts a request somewhere between its departure and its response.
            await sleep(delay / 2);
            counted.push(performance.now());
            await sleep(delay / 2);
          }),
        ),
      );
      return counted.length === delays.length && mostIn(20, counted) <= limit;
    }),
    { numRuns: 12, seed: 7 },
  );
  t.pass('12 loads');
});

t.test('first come, first served', async (t) => {
  const limiter = new Limiter(2, 15);
  const order: number[] = [];
  await Promise.all([0, 1, 2, 3, 4, 5].map((index) => limiter.run(async () => void order.push(index))));
  t.same(order, [0, 1, 2, 3, 4, 5]);
});

t.test('a request that fails frees its place', async (t) => {
  const limiter = new Limiter(1, 5);
  await t.rejects(limiter.run(() => Promise.reject(new Error('no'))));
  t.equal(await limiter.run(async () => 'yes'), 'yes');
});

t.test('a pause stops every request, for one window at most', async (t) => {
  const limiter = new Limiter(10, 500);
  limiter.pause(3_600_000);
  let sent = 0;
  const run = limiter.run(async () => void sent++);
  await new Promise(setImmediate);
  t.equal(sent, 0);
  await run;
  t.equal(sent, 1);
});
