import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { filesBelow, freshFolder } from '../files.ts';
import { fixtures, startGateway } from '../gateway.ts';
import { serve } from '../servers/serve.ts';
import { until } from '../until.ts';

const audio = await readFile(join(fixtures, 'inbound-caller1.wav'));

/** Two gateways with one database, and a disk cache each, that play a vendor's recording by reference. */
async function startSite(t: Test) {
  const vendor = { requests: 0 };
  const { url } = await serve(t, ({ headers }, response) => {
    vendor.requests++;
    const [first, last] = /(\d+)-(\d+)/
      .exec(headers.range ?? '')!
      .slice(1)
      .map(Number) as [number, number];
    const part = audio.subarray(first, last + 1);
    const range = `bytes ${first}-${first + part.length - 1}/${audio.length}`;
    response
      .writeHead(206, { etag: '"v1"', 'content-range': range, 'content-length': part.length })
      .end(part);
  });
  const one = await startGateway(t, { 'source-hosts': new URL(url).host, 'cache-disk': '50MB' });
  const secondFolder = await freshFolder(t);
  for (const name of ['secret-key', 'api-key'])
    await copyFile(join(one.dataDir, name), join(secondFolder, name));
  const second = () =>
    startGateway(t, {
      'data-dir': secondFolder,
      'database-url': one.config.databaseUrl,
      'source-hosts': new URL(url).host,
      'cache-disk': '50MB',
    });
  const ingest = async () => {
    const call = {
      accountId: 'acct',
      externalId: 'a',
      direction: 'inbound',
      channels: ['caller', 'recipient'],
    };
    const response = await one.v1('/recordings', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...call, source: `${url}/call.wav`, mode: 'proxy' }),
    });
    const shared = await one.v1('/recordings/acct/a/url', { method: 'POST' });
    const { authenticatedUrl } = (await shared.json()) as { authenticatedUrl: string };
    return { status: response.status, authenticatedUrl };
  };
  const blocks = () => filesBelow(join(secondFolder, 'blocks'));
  return { vendor, one, second, secondFolder, ingest, blocks };
}

type Gateway = Awaited<ReturnType<typeof startGateway>>;

async function bytesOf(url: string, from: Gateway, at: Gateway): Promise<Buffer> {
  return Buffer.from(await (await fetch(url.replace(from.url, at.url))).arrayBuffer());
}

const erase = (gateway: Gateway) => gateway.v1('/recordings/acct/a', { method: 'DELETE' });

t.test('erased audio leaves memory and disk of the other gateway', async (t) => {
  const { vendor, one, second, ingest, blocks } = await startSite(t);
  const two = await second();
  const { authenticatedUrl } = await ingest();
  t.ok((await bytesOf(authenticatedUrl, one, two)).equals(audio));
  await until(async () => (await blocks()).length > 0);

  t.equal((await erase(one)).status, 204);
  await until(async () => (await blocks()).length === 0);
  await until(async () => (await fetch(authenticatedUrl.replace(one.url, two.url))).status === 401);

  const { requests } = vendor;
  const again = await ingest();
  t.equal(again.status, 201);
  t.ok((await bytesOf(again.authenticatedUrl, one, two)).equals(audio), 'put in again, it plays at once');
  t.ok(vendor.requests > requests, 'its bytes were fetched again');
});

t.test('audio that was erased while a gateway was down is removed from its disk at its start', async (t) => {
  const { one, second, secondFolder, ingest, blocks } = await startSite(t);
  const before = await second();
  const { authenticatedUrl } = await ingest();
  await bytesOf(authenticatedUrl, one, before);
  await until(async () => (await blocks()).length > 0);
  await before.app.close();
  t.ok((await blocks()).length > 0);

  t.equal((await erase(one)).status, 204);
  const after = await second();
  t.same(await blocks(), []);
  t.same(await readdir(join(secondFolder, 'blocks')), []);
  await after.app.close();
});

t.test('a cache that the change feed knows nothing of is removed', async (t) => {
  const { one, second, secondFolder, ingest, blocks } = await startSite(t);
  const before = await second();
  const { authenticatedUrl } = await ingest();
  await bytesOf(authenticatedUrl, one, before);
  await until(async () => (await blocks()).length > 0);
  await before.app.close();
  for (const position of ['999999999', 'nonsense', '']) {
    await writeFile(join(secondFolder, 'blocks', '0'.repeat(64)), 'block');
    await writeFile(join(secondFolder, 'blocks-position'), position);
    await (await second()).app.close();
    t.same(await blocks(), [], position);
  }
});

t.test('a cache is kept over a restart', async (t) => {
  const { vendor, one, second, ingest, blocks } = await startSite(t);
  const before = await second();
  const { authenticatedUrl } = await ingest();
  await bytesOf(authenticatedUrl, one, before);
  await until(async () => (await blocks()).length > 0);
  await before.app.close();
  const after = await second();
  const { requests } = vendor;
  t.ok((await bytesOf(authenticatedUrl, one, after)).equals(audio));
  t.equal(vendor.requests, requests);
});
