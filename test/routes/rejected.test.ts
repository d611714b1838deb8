import t from 'tap';
import { spawnGateway } from '../gateway.ts';
import { rawRequest } from '../raw.ts';
import { until } from '../until.ts';

// Requests that are rejected before any route sees them.

const cases = [
  {
    name: 'a URL that cannot be decoded',
    target: '/stream/se-cret%zz',
    status: 400,
    code: 'invalid_request',
  },
  {
    name: 'headers that are too large',
    headers: { 'x-se-cret': 'a'.repeat(20_000) },
    status: 431,
    code: 'headers_too_large',
  },
  { name: 'no HTTP', method: 'se-cret', status: 400, code: 'invalid_request' },
];

t.test('a request that no route sees has an id, and is logged and counted', async (t) => {
  const gateway = await spawnGateway(t);
  for (const { name, status, code, ...request } of cases) {
    const { headers, body, ...response } = await rawRequest(gateway.url, request);
    t.equal(response.status, status, name);
    t.match(JSON.parse(String(body)), { status, code });
    const id = headers['x-request-id'];
    t.match(id, /^[0-9a-f-]{36}$/);
    t.equal(headers['x-content-type-options'], 'nosniff');
    const line = await until(() =>
      gateway
        .log()
        .split('\n')
        .find((line) => line.includes(id!)),
    );
    t.match(JSON.parse(line!), { reqId: id, route: 'none', status, ip: '127.0.0.1', msg: 'response' });
  }
  const page = await (await fetch(`${gateway.url}/metrics`)).text();
  for (const line of [
    'playhead_requests_total{route="none",status="400"} 2',
    'playhead_requests_total{route="none",status="431"} 1',
    'playhead_refusals_total{code="invalid_request"} 2',
    'playhead_refusals_total{code="headers_too_large"} 1',
  ]) {
    t.ok(page.includes(line), line);
  }
  t.notMatch(gateway.log(), /se-cret/);
});
