import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { ApiRole } from '../../src/unions.ts';
import { playhead } from '../commands/playhead.ts';
import { startGateway } from '../gateway.ts';
import { until } from '../until.ts';

const file = 'inbound-caller1.flac';
const gateway = await startGateway(t);
await gateway.ingest(file, { accountId: 'mine', externalId: 'a' });
await gateway.ingest(file, { accountId: 'theirs', externalId: 'a' });

let names = 0;
const keyOf = (role: ApiRole, accountIds?: string[]) =>
  gateway.parts.apiKeys.create({ name: `key-${++names}`, role, accountIds });
const keys = {
  read: await keyOf('read', ['mine']),
  ingest: await keyOf('ingest', ['mine']),
  admin: await keyOf('admin', ['mine']),
};

function send(key: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${gateway.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function codeOf(response: Response): Promise<string> {
  return `${response.status} ${((await response.json().catch(() => ({}))) as { code?: string }).code ?? ''}`.trim();
}

interface Description {
  paths: Record<string, Record<string, unknown>>;
}
const { paths } = (await (await fetch(`${gateway.url}/openapi.json`)).json()) as Description;
const routes = Object.entries(paths)
  .filter(([path]) => path.startsWith('/v1/'))
  .flatMap(([path, methods]) => Object.keys(methods).map((method) => [method.toUpperCase(), path] as const));

/** What each role is allowed, beside `admin`. */
const allowed: Record<string, string[]> = {
  'POST /v1/recordings': ['ingest'],
  'GET /v1/recordings': ['read'],
  'GET /v1/recordings/{accountId}/{externalId}': ['read', 'ingest'],
  'POST /v1/recordings/{accountId}/{externalId}/url': ['read'],
  'POST /v1/recordings/{accountId}/{externalId}/publish': ['ingest'],
  'POST /v1/check': ['read', 'ingest'],
};

t.test('each role is denied every route that is not its own', async (t) => {
  t.ok(routes.length >= 10);
  for (const [method, path] of routes) {
    const mine = path.replace('{accountId}', 'mine').replace('{externalId}', 'nobody');
    for (const role of ['read', 'ingest'] as const) {
      const isAllowed = allowed[`${method} ${path}`]?.includes(role) ?? false;
      const code = await codeOf(await send(keys[role], method, mine));
      if (isAllowed) t.notMatch(code, /^403/, `${role} ${method} ${path}: ${code}`);
      else t.equal(code, '403 forbidden', `${role} ${method} ${path}`);
    }
    t.notMatch(await codeOf(await send(keys.admin, method, mine)), /^40[13]/, `admin ${method} ${path}`);
  }
});

t.test('another account is the same as one that does not exist, on every route', async (t) => {
  for (const [method, path] of routes.filter(([, path]) => path.includes('{accountId}'))) {
    const bodies: string[] = [];
    for (const account of ['theirs', 'nobody']) {
      const url = path.replace('{accountId}', account).replace('{externalId}', 'a');
      const body = method === 'PUT' ? { reason: 'x', retention: '1d' } : undefined;
      const response = await send(keys.admin, method, url, body);
      bodies.push(`${response.status} ${await response.text()}`);
    }
    t.match(bodies[0], /^404 /, `${method} ${path}`);
    t.equal(bodies[0], bodies[1]);
  }
  t.equal((await gateway.v1('/recordings/theirs/a')).status, 200, 'nothing was done to it');
});

t.test('a list has the recordings of its accounts alone', async (t) => {
  const accountsIn = async (query: string) => {
    const { recordings } = (await (await send(keys.read, 'GET', `/v1/recordings${query}`)).json()) as {
      recordings: { accountId: string }[];
    };
    return recordings.map(({ accountId }) => accountId);
  };
  t.same(await accountsIn(''), ['mine']);
  t.same(await accountsIn('?accountId=mine'), ['mine']);
  t.same(await accountsIn('?accountId=theirs'), []);
  t.same(await accountsIn('?externalId=a'), ['mine']);
  const first = (await (await gateway.v1('/recordings?limit=1')).json()) as { next: string };
  t.ok((await accountsIn(`?cursor=${first.next}`)).every((accountId) => accountId === 'mine'));
});

t.test('a key sends recordings for its accounts alone, and no sources', async (t) => {
  const headers = { authorization: `Bearer ${keys.ingest}` };
  const form = (accountId: string) => {
    const body = new FormData();
    body.append(
      'recording',
      JSON.stringify({ accountId, externalId: 'b', direction: 'inbound', channels: ['caller', 'recipient'] }),
    );
    body.append('audio', new Blob(['x']), 'x.wav');
    return fetch(`${gateway.url}/v1/recordings`, { method: 'POST', headers, body });
  };
  t.equal(await codeOf(await form('theirs')), '403 forbidden');
  t.equal(await codeOf(await form('mine')), '422 refused_audio');
  const offer = { externalId: 'b', direction: 'inbound', source: 'https://host.example/a.wav' };
  t.equal(
    await codeOf(await send(keys.ingest, 'POST', '/v1/recordings', { ...offer, accountId: 'theirs' })),
    '403 forbidden',
  );
  t.equal(
    await codeOf(await send(keys.ingest, 'POST', '/v1/recordings', { ...offer, accountId: 'mine' })),
    '403 forbidden',
  );
});

t.test('people are erased from the accounts of the key alone', async (t) => {
  const erase = async (body: object) =>
    codeOf(await send(keys.admin, 'POST', '/v1/erasures', { dryRun: true, ...body }));
  t.equal(await erase({ number: '+4930123' }), '403 forbidden');
  t.equal(await erase({ number: '+4930123', accountId: 'theirs' }), '403 forbidden');
  t.equal(await erase({ number: '+4930123', accountId: 'mine' }), '200');
});

t.test('one account has to wait, and another does not', async (t) => {
  const limited = await startGateway(t, { 'account-rate-limit': '6' });
  const url = await limited.streamOf(file, { accountId: 'busy', externalId: 'a' }); // two requests
  const other = await limited.streamOf(file, { accountId: 'other', externalId: 'a' });
  const statuses: number[] = [];
  for (let request = 0; request < 6; request++) statuses.push((await fetch(url, { method: 'HEAD' })).status);
  t.same(statuses, [200, 200, 200, 200, 429, 429]);
  t.equal((await limited.v1('/recordings/busy/a')).status, 429, 'with its keys too');
  t.equal((await fetch(other, { method: 'HEAD' })).status, 200);
});

t.test('keys are created, listed and revoked by commands, without a restart', async (t) => {
  const run = (...args: string[]) =>
    playhead(gateway.dataDir, 'api-keys', ...args, '--database-url', gateway.config.databaseUrl);
  const created = await run('create', '--name', 'backend', '--role', 'read', '--accounts', 'mine, theirs');
  t.equal(created.code, 0, created.stderr);
  const key = created.stdout.trim();
  t.match((await run()).stdout, /backend {2}read {2}mine,theirs {2}created \S+ {2}last used never/);
  const listed = JSON.parse((await run('list', '--json')).stdout) as { name: string }[];
  t.ok(listed.some(({ name }) => name === 'backend'));
  t.notMatch(JSON.stringify(listed), key);
  const statusOf = async () => (await send(key, 'GET', '/v1/recordings')).status;
  await until(async () => {
    await sleep(200); // more than sixty wrong keys in a minute would pause this address
    return (await statusOf()) === 200;
  });
  t.equal((await run('revoke', 'backend')).code, 0);
  await until(async () => (await statusOf()) === 401);
  t.match(await run('revoke', 'backend'), { code: 1, stderr: /no API key with the name backend/ });
  t.equal((await run('create', '--name', 'x', '--role', 'owner')).code, 64);
  t.equal((await run('create', '--role', 'read')).code, 64);
});
