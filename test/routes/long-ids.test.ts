import t from 'tap';
import { startGateway } from '../gateway.ts';

t.test('the longest ids that are accepted get a URL that plays', async (t) => {
  const { streamOf, v1 } = await startGateway(t);
  for (const character of ['ü', '"', '%', '/', '𝄞', "'"]) {
    const repeat = (bytes: number) => character.repeat(Math.floor(bytes / Buffer.byteLength(character)));
    const [accountId, externalId] = [repeat(128), repeat(512)];
    const url = await streamOf('inbound-caller1.wav', { accountId, externalId });
    const response = await fetch(url, { headers: { range: 'bytes=0-99' } });
    t.equal(response.status, 206, `${character}: a URL of ${url.length} characters`);
    const path = [accountId, externalId].map(encodeURIComponent).join('/');
    t.equal((await v1(`/recordings/${path}`)).status, 200, character);
  }
});

t.test('no error repeats the token of a wrong URL', async (t) => {
  const { url } = await startGateway(t);
  const secret = 'eyJzZWNyZXQ';
  for (const tail of ['', '%', '%zz', 'x'.repeat(5_000), 'x'.repeat(12_000), '/..', '?a=%zz']) {
    const response = await fetch(`${url}/stream/${secret}${tail}`);
    t.ok(response.status >= 400, `${response.status}`);
    t.notMatch(await response.text(), secret, tail.slice(0, 5));
  }
});
