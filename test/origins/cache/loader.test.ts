import t from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { BlockCache } from '../../../src/origins/cache/block-cache.ts';
import { Memory } from '../../../src/origins/cache/memory.ts';
import type { Origin } from '../../../src/origins/origin.ts';

t.test('an error about a source does not contain its URL, which may be a signed one', async (t) => {
  const secret = 'x-signature-of-the-vendor';
  const url = `https://vendor.example/call.wav?${secret}`;
  const signal = new AbortController().signal;
  /** Ends every body short. */
  const short: Origin = {
    stat: async () => ({ size: 100, etag: '"a"', lastModified: new Date(0) }),
    read: async () =>
      (async function* () {
        yield Buffer.alloc(10);
      })(),
  };
  const cache = new BlockCache(short, { name: 'http', memory: new Memory(0), metrics: createMetrics() });
  const read = async (last: number) => {
    const version = { etag: '"a"', size: 100 };
    for await (const _ of await cache.read(url, { first: 0, last }, version, signal));
  };
  for (const last of [99, 100]) {
    const problem = await read(last).then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    t.match(problem, { code: 'origin_failed' });
    t.notMatch(`${problem?.message} ${problem?.cause}`, secret);
  }
});
