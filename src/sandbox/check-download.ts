import type { CheckPool } from '../audio/process/pool.ts';
import type { Report } from '../audio/report.ts';
import type { Origin } from '../origins/origin.ts';

/** Checks a recording that the sandbox has downloaded into memory. */
export function checkDownload(checkPool: CheckPool, audio: Uint8Array): Promise<Report> {
  const representation = { size: audio.length, etag: '"memory"', lastModified: new Date() };
  const origin: Origin = {
    stat: async () => representation,
    read: async (_key, { first, last }) =>
      (async function* () {
        yield audio.subarray(first, last + 1);
      })(),
  };
  // HubSpot has only the audio, so nothing is declared about the call.
  return checkPool.check({ origin, key: 'download', representation }, {});
}
