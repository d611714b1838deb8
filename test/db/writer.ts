import type { Report } from '../../src/audio/report.ts';
import { Changes } from '../../src/db/changes.ts';
import { openDatabase } from '../../src/db/open.ts';
import { Catalog } from '../../src/recordings/catalog.ts';
import { StoreKeys } from '../../src/recordings/store-keys.ts';

/**
 * Puts recordings in an endless loop, replaces or removes some of them, and prints the number of each when all its
 * writes are acknowledged. The crash test kills it. Usage: writer.ts DATABASE_URL NAME
 */
const [url, name] = process.argv.slice(2) as [string, string];
const db = await openDatabase(url);
const catalog = new Catalog(db, await Changes.open(db));
const storeKeys = new StoreKeys(db.kysely);
const report: Report = { verdict: 'pass', codes: [], audio: { size: 1 }, evidence: [], repairs: {} };

for (let count = 0; ; count += 1) {
  const externalId = `${name}-${count}`;
  const put = async (key: string) => {
    await storeKeys.add(key, 60_000);
    const bytes = {
      size: 1,
      etag: `"${key}"`,
      originEtag: `"${key}"`,
      lastModified: new Date(),
      sha256: key,
    };
    const audio = { origin: 'store', key, ...bytes, container: 'wav', direction: null, call: null } as const;
    await catalog.put({ accountId: 'acme', externalId, ...audio, report }, { replace: true });
  };
  await put(`${externalId}.first`);
  if (count % 3 === 1) await put(`${externalId}.second`);
  if (count % 3 === 2) await catalog.remove('acme', externalId);
  process.stdout.write(`${count}\n`);
}
