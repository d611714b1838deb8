import { existsSync, readFileSync } from 'node:fs';
import type { OutgoingHttpHeaders } from 'node:http';
import { dirname } from 'node:path';
import t from 'tap';
import type { Report } from '../../src/audio/report.ts';
import { formatDiagnosis } from '../../src/doctor/diagnosis.ts';
import { type Examination, examine } from '../../src/doctor/doctor.ts';
import { fetchRules } from '../../src/doctor/rules/fetch.ts';
import { retrieveRules } from '../../src/doctor/rules/retrieve.ts';
import { serve } from '../servers/serve.ts';
import { recording, startEndpoint, token } from './endpoint.ts';

async function unmet(examination: Examination): Promise<string[]> {
  const { requirements, met } = await examine(examination);
  const ids = requirements.filter((requirement) => requirement.met === false).map(({ id }) => id);
  if (met !== (ids.length === 0)) throw new Error('"met" contradicts its requirements');
  return ids;
}

const passing: Report = {
  verdict: 'pass',
  codes: ['declared_map'],
  audio: { container: 'wav', codec: 'pcm_s16le', size: recording.length },
  evidence: [],
  repairs: {},
};

t.test('a correct endpoint meets every requirement', async (t) => {
  const origin = await startEndpoint(t);
  let path = '';
  let checked: Buffer | undefined;
  const check = async (given: string) => {
    path = given;
    checked = readFileSync(path);
    return passing;
  };
  const url = `${origin}/retrieve/%s`;
  const call = { externalId: 'call/1', externalAccountId: 'acme', appId: '101' };
  const { requirements, met } = await examine({ url, ...call, check });

  t.equal(met, true);
  t.same(
    requirements.filter((requirement) => requirement.met !== true),
    [],
  );
  t.equal(new Set(requirements.map(({ id }) => id)).size, requirements.length, 'each id once');
  t.ok(checked?.equals(recording), 'the check reads the bytes that were served');
  t.notMatch(JSON.stringify(requirements), token, 'the URL of the recording is not in the diagnosis');
  t.notOk(existsSync(dirname(path)), 'the temporary folder is removed');
  t.match(
    formatDiagnosis({ requirements, met }),
    /^met +The endpoint uses https or is on this machine \(http:\/\/127/,
  );
});

t.test('a URL without %s is an endpoint or a recording by its response', async (t) => {
  const origin = await startEndpoint(t);
  const rows: [name: string, url: string, tested: boolean][] = [
    ['JSON: an endpoint', `${origin}/retrieve/call%2F1?externalAccountId=acme`, true],
    ['bytes: a recording', `${origin}/stream/x`, false],
  ];
  for (const [name, url, tested] of rows) {
    const { requirements, met } = await examine({ url });
    const retrieval = requirements.filter(({ id }) => id.startsWith('retrieve-'));
    t.same([...new Set(retrieval.map(({ met }) => met))], [tested || 'unknown'], name);
    t.equal(met, true);
  }
  const audio = (await examine({ url: rows[1]![1] })).requirements.filter(({ id }) =>
    id.startsWith('audio-'),
  );
  t.same(
    audio.map(({ met }) => met),
    ['unknown', 'unknown'],
    'without a check the audio is unknown',
  );
});

t.test('only a URL with %s gets a query', async (t) => {
  const requested: (string | undefined)[] = [];
  const { url: origin } = await serve(t, ({ url }, response) => {
    requested.push(url);
    response.writeHead(404).end();
  });
  const call = { externalId: 'a b/%s$&', externalAccountId: 'x&y', appId: '101' };
  await examine({ url: `${origin}/r/%s?v=1&s=%s`, ...call });
  await examine({ url: `${origin}/r/1?signature=a%2Fb+c`, ...call });
  t.same(requested, [
    '/r/a%20b%2F%25s%24%26?v=1&s=a+b%2F%25s%24%26&appId=101&externalAccountId=x%26y',
    '/r/1?signature=a%2Fb+c',
    '/r/1?signature=a%2Fb+c',
  ]);
});

t.test('recordings of a few bytes meet every requirement', async (t) => {
  for (const size of [1, 2, 10]) {
    const origin = await startEndpoint(t, {}, recording.subarray(0, size));
    t.same(await unmet({ url: `${origin}/stream/x` }), [], `${size} bytes`);
  }
});

t.test('a fault of the endpoint for authenticated URLs fails its requirement and no other', async (t) => {
  const stream = await startEndpoint(t);
  const rows: [
    name: string,
    status: number,
    headers: OutgoingHttpHeaders,
    body: string,
    expected: string[],
  ][] = [
    ['a redirect', 302, { location: '/login' }, '', ['retrieve-direct']],
    ['a login', 401, {}, '{}', ['retrieve-direct']],
    ['an unknown call', 404, {}, '{}', ['retrieve-json']],
    ['a page instead of JSON', 200, { 'content-type': 'text/html' }, '<html>', ['retrieve-json']],
    ['another member', 200, {}, JSON.stringify({ url: `${stream}/stream/x` }), ['retrieve-json']],
    ['a relative URL', 200, {}, '{"authenticatedUrl":"/stream/x"}', ['retrieve-json']],
    ['an invalid URL', 200, {}, '{"authenticatedUrl":"https://"}', ['retrieve-json']],
    ['another scheme', 200, {}, '{"authenticatedUrl":"file:///etc/passwd"}', ['retrieve-json']],
    ['null', 200, {}, 'null', ['retrieve-json']],
    ['JSON without end', 200, {}, `{"a":"${'x'.repeat(200_000)}`, ['retrieve-json']],
  ];
  for (const [name, status, headers, body, expected] of rows) {
    const { url: origin } = await serve(t, (_, response) => response.writeHead(status, headers).end(body));
    const { requirements, met } = await examine({ url: `${origin}/%s`, externalId: '1' });
    const failed = requirements.filter((requirement) => requirement.met === false).map(({ id }) => id);
    t.same(failed, expected, `${name} → ${expected}`);
    t.equal(met, false);
    t.equal(requirements.find(({ id }) => id === 'whole')?.met, 'unknown', 'the recording is not tested');
  }
});

t.test('only loopback may use http, and only the endpoint has a time limit', async (t) => {
  const rows: [url: string, expected: boolean][] = [
    ['https://example.com/x', true],
    ['http://127.0.0.1:80/x', true],
    ['http://localhost/x', true],
    ['http://[::1]/x', true],
    ['http://example.com/x', false],
    ['http://127.0.0.1.example.com/x', false],
    ['http://10.0.0.1/x', false],
  ];
  const fetched = { status: 200, seen: '200', authenticatedUrl: undefined, milliseconds: 0 };
  for (const [url, expected] of rows) {
    const origin = new URL(url).origin;
    t.same(await retrieveRules[0]!.test({ ...fetched, url }), [expected, origin], `${url} → ${expected}`);
    t.same(await fetchRules[0]!.test({ ...fetched, url }), [expected, origin]);
  }
  const fast = retrieveRules.find(({ id }) => id === 'retrieve-fast')!;
  const slow = { ...fetched, url: rows[0]![0], milliseconds: 5001 };
  t.same(await fast.test(slow), [false, '5001 ms']);
  t.same(await fast.test({ ...slow, milliseconds: 4999 }), [true, '4999 ms']);
});

t.test('a late, endless or missing response is an unmet requirement', async (t) => {
  const { url: silent } = await serve(t, () => {});
  const { url: closed } = await serve(t, (request) => void request.socket.destroy());
  const { url: stalled } = await serve(
    t,
    (_, response) => void response.writeHead(200, { 'content-length': 10 }).write('x'),
  );
  const { url: endless } = await serve(t, (_, response) => {
    const more = () => void response.write(Buffer.alloc(65_536), (error) => error || more());
    more();
  });
  const rows: [name: string, examination: Examination, id: string, seen: string][] = [
    ['silent', { url: silent, timeoutMs: 500 }, 'stream-direct', 'no response in time'],
    ['silent endpoint', { url: `${silent}/%s`, timeoutMs: 500 }, 'retrieve-direct', 'no response in time'],
    ['closed', { url: closed }, 'stream-direct', 'ECONNRESET'],
    ['no server', { url: 'http://127.0.0.1:1/' }, 'stream-direct', 'ECONNREFUSED'],
    ['stalled', { url: stalled, timeoutMs: 2000 }, 'whole', 'broken off after 1 bytes: no response in time'],
    ['endless', { url: endless, maxBytes: 1_000_000 }, 'whole', 'larger than the limit of 1000000 bytes'],
  ];
  for (const [name, examination, id, seen] of rows) {
    const { requirements, met } = await examine(examination);
    t.equal(met, false);
    t.match(
      requirements.find((requirement) => requirement.id === id),
      { met: false, seen },
      `${name} → ${id}`,
    );
  }
});

t.test('the channel check decides on format and channels', async (t) => {
  const origin = await startEndpoint(t);
  const failing = {
    ...passing,
    verdict: 'fail',
    codes: ['mono'],
    repairs: { mono: 'Turn on dual-channel recording.' },
  } satisfies Report;
  const rows: [name: string, check: Examination['check'], format: unknown, channels: unknown][] = [
    ['pass', async () => passing, true, true],
    ['fail', async () => failing, true, false],
    ['inconclusive', async () => ({ ...passing, verdict: 'inconclusive' }), true, 'unknown'],
    ['another format', async () => ({ ...failing, audio: { size: 1 } }), false, false],
    ['a check that fails to run', () => Promise.reject(new Error('broken')), 'unknown', 'unknown'],
  ];
  for (const [name, check, format, channels] of rows) {
    const { requirements } = await examine({ url: `${origin}/stream/x`, check });
    const [first, second] = requirements.slice(-2);
    t.same([first?.met, second?.met], [format, channels], name);
    if (channels === false) t.equal(second?.repair, 'Turn on dual-channel recording.');
  }
});

t.test('an invalid URL throws a TypeError', async (t) => {
  for (const url of ['recordings', 'file:///etc/passwd', 's3://bucket/%s', '']) {
    await t.rejects(examine({ url }), TypeError, url);
  }
});
