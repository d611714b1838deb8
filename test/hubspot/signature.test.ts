import { createHash, createHmac } from 'node:crypto';
import t from 'tap';
import { type SignedRequest, verifySignature } from '../../src/hubspot/signature.ts';

type Arrived = Pick<SignedRequest, 'method' | 'target' | 'headers' | 'body'>;

const clientSecret = 'yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy';
const now = 1_700_000_000_000;

// ---- The test signs by itself, as HubSpot's documentation describes it ----

function v3(method: string, uri: string, body = '', timestamp: number | string = now, secret = clientSecret) {
  return {
    'x-hubspot-signature-v3': createHmac('sha256', secret)
      .update(`${method}${uri}${body}${timestamp}`)
      .digest('base64'),
    'x-hubspot-request-timestamp': `${timestamp}`,
  };
}

function v2(method: string, uri: string, body = '', secret = clientSecret) {
  const signature = createHash('sha256').update(`${secret}${method}${uri}${body}`).digest('hex');
  return { 'x-hubspot-signature': signature, 'x-hubspot-signature-version': 'v2' };
}

function v1(body: string, secret = clientSecret) {
  const signature = createHash('sha256').update(`${secret}${body}`).digest('hex');
  return { 'x-hubspot-signature': signature, 'x-hubspot-signature-version': 'v1' };
}

t.test('signatures that HubSpot publishes are valid', async (t) => {
  const created =
    '[{"eventId":531833541,"subscriptionId":3923621,"portalId":48807704,"appId":16111050,"occurredAt":1752613920733,' +
    '"subscriptionType":"contact.creation","attemptNumber":0,"objectId":138017612137,"changeFlag":"CREATED",' +
    '"changeSource":"CRM_UI","sourceId":"userId:76023669"}]';
  const old =
    '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,' +
    '"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM",' +
    '"changeFlag":"NEW","appId":54321}]';
  const rows: [name: string, request: Arrived, publicUrl: string, clientSecret: string, now: number][] = [
    [
      'v3 of the documentation',
      {
        method: 'POST',
        target: '/335453f5-94b3-49d9-b684-a55354d4b8df',
        headers: {
          'x-hubspot-signature-v3': 'gbj1XPRvUt0noT7i7fXfTzOD4sLzQmf0VT28ZYq0EYg=',
          'x-hubspot-request-timestamp': '1752613922216',
        },
        body: created,
      },
      'https://webhook.site',
      'cfc68c0b-4b4e-4ef8-b764-95350e4ea479',
      1752613922216,
    ],
    [
      'v3 of the Ruby library',
      {
        method: 'POST',
        target: '/webhook_uri',
        headers: {
          'x-hubspot-signature-v3': 'RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=',
          'x-hubspot-request-timestamp': '1700000300000',
        },
        body: "{'example_field':'example_value'}",
      },
      'https://www.example.com',
      clientSecret,
      1700000300000,
    ],
    [
      'v2 of a POST',
      {
        method: 'POST',
        target: '/webhook_uri',
        headers: {
          'x-hubspot-signature': '9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900',
          'x-hubspot-signature-version': 'v2',
        },
        body: '{"example_field":"example_value"}',
      },
      'https://www.example.com',
      clientSecret,
      now,
    ],
    [
      'v2 of a GET',
      {
        method: 'GET',
        target: '/webhook_uri',
        headers: {
          'x-hubspot-signature': 'eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e',
          'x-hubspot-signature-version': 'v2',
        },
        body: '',
      },
      'https://www.example.com',
      clientSecret,
      now,
    ],
    [
      'v1',
      {
        method: 'POST',
        target: '/anything',
        headers: {
          'x-hubspot-signature': '232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de',
          'x-hubspot-signature-version': 'v1',
        },
        body: old,
      },
      'https://www.example.com',
      clientSecret,
      now,
    ],
  ];
  for (const [name, arrived, publicUrl, secret, at] of rows) {
    const request = { ...arrived, publicUrl, clientSecret: secret, now: at };
    t.equal(verifySignature(request), true, name);
    const bytes = { ...request, body: Buffer.from(request.body) };
    t.equal(verifySignature(bytes), true, `${name}, body as bytes`);
    const altered = { ...request, body: `${request.body} ` };
    t.equal(verifySignature(altered), false, `${name}, body altered`);
  }
});

const publicUrl = 'https://play.example.com/gateway';
const target = '/retrieve/authenticated/recordings/call%2001%3A7?appId=101&externalAccountId=a%2Cb%2Bc';
const uri = publicUrl + target;
const decoded = `${publicUrl}/retrieve/authenticated/recordings/call%2001:7?appId=101&externalAccountId=a,b%2Bc`;

function valid(headers: Record<string, string>, changed: Partial<SignedRequest> = {}): boolean {
  return verifySignature({
    method: 'GET',
    publicUrl,
    target,
    headers,
    body: '',
    clientSecret,
    now,
    ...changed,
  });
}

t.test('the URI is signed raw, or with the documented escapes decoded', async (t) => {
  const all = '%3A%2F%3F%40%21%24%27%28%29%2A%2C%3B%3a%2f';
  const others = '%20%25%26%2B%3D%23%5B%5D';
  const rows: [name: string, signed: string, target: string, expected: boolean][] = [
    ['raw', uri, target, true],
    ['decoded', decoded, target, true],
    ['each documented escape', `${publicUrl}/:/?@!$'()*,;:/`, `/${all}`, true],
    ['every other escape stays', `${publicUrl}/${others}`, `/${others}`, true],
    ['every other escape, decoded', `${publicUrl}/${decodeURIComponent(others)}`, `/${others}`, false],
    ['an escape is decoded once', `${publicUrl}/:`, '/%253A', false],
    ['parameters in another order', `${publicUrl}/x?b=1&a=2`, '/x?a=2&b=1', false],
    ['the query is missing', `${publicUrl}/x`, '/x?a=2', false],
    ['one slash more', `${publicUrl}/x/`, '/x', false],
  ];
  for (const [name, signed, received, expected] of rows) {
    for (const headers of [v3('GET', signed), v2('GET', signed)]) {
      t.equal(valid(headers, { target: received }), expected, `${name} → ${expected}`);
    }
  }
});

t.test('behind a proxy the public URL counts', async (t) => {
  const host = { host: '10.0.0.7:8080', 'x-forwarded-host': 'evil.example.com', 'x-forwarded-proto': 'http' };
  t.equal(
    valid({ ...v3('GET', uri), ...host }),
    true,
    'signed for the public URL, received at another → true',
  );
  t.equal(
    valid({ ...v3('GET', `http://10.0.0.7:8080${target}`), ...host }),
    false,
    'signed for the socket → false',
  );
  t.equal(
    valid({ ...v3('GET', `http://evil.example.com${target}`), ...host }),
    false,
    'signed for a header → false',
  );
  t.equal(
    valid(v3('GET', uri), { publicUrl: 'http://play.example.com/gateway' }),
    false,
    'other scheme → false',
  );
  t.equal(
    valid(v3('GET', 'http://x/'), { target: 'http://x/', publicUrl: '' }),
    false,
    'absolute target → false',
  );
});

t.test('a v3 signature altered in any part is rejected', async (t) => {
  const good = v3('GET', uri);
  const key = 'x-hubspot-signature-v3';
  const rows: [name: string, headers: Record<string, string>, changed?: Partial<SignedRequest>][] = [
    ['method', good, { method: 'POST' }],
    ['path', good, { target: target.replace('01', '02') }],
    ['query', good, { target: `${target}&x=1` }],
    ['body', good, { body: 'x' }],
    ['timestamp', { ...good, 'x-hubspot-request-timestamp': `${now + 1}` }],
    ['no timestamp', { [key]: good[key] }],
    ['timestamp under a wrong name', { [key]: good[key], 'x-hubspot-signature-timestamp': `${now}` }],
    ['secret', good, { clientSecret: 'another' }],
    ['no secret', v3('GET', uri, '', now, ''), { clientSecret: '' }],
    ['signature', { ...good, [key]: good[key].replace(/^./, (first) => (first === 'A' ? 'B' : 'A')) }],
    ['signature cut', { ...good, [key]: good[key].slice(0, -1) }],
    ['signature longer', { ...good, [key]: `${good[key]}=` }],
    ['signature twice', { ...good, [key]: `${good[key]}, ${good[key]}` }],
    ['signature empty', { ...good, [key]: '' }],
    ['signature in hex', { ...good, [key]: Buffer.from(good[key], 'base64').toString('hex') }],
    ['wrong, beside a valid v2', { ...good, [key]: 'x', ...v2('GET', uri) }],
  ];
  t.equal(valid(good), true, 'unaltered');
  for (const [name, headers, changed] of rows) t.equal(valid(headers, changed), false, name);
});

t.test('a v3 signature is valid for five minutes', async (t) => {
  const rows: [timestamp: number | string, expected: boolean][] = [
    [now - 300_000, true],
    [now - 300_001, false],
    [now + 30_000, true],
    [now + 30_001, false],
    [now + 3_600_000, false],
    [now / 1000, false],
    [`${now}.0`, false],
    [` ${now}`, false],
    ['1e12', false],
    ['NaN', false],
    ['', false],
    ['-1', false],
    ['9'.repeat(400), false],
  ];
  for (const [timestamp, expected] of rows) {
    t.equal(
      valid(v3('GET', uri, '', timestamp)),
      expected,
      `${String(timestamp).slice(0, 20)} at ${now} → ${expected}`,
    );
  }
});

t.test('older signatures', async (t) => {
  const body = '{"a":1}';
  const post = { method: 'POST', body };
  const rows: [
    name: string,
    headers: Record<string, string>,
    changed: Partial<SignedRequest>,
    expected: boolean,
  ][] = [
    ['v2', v2('POST', uri, body), post, true],
    ['v2, other method', v2('PUT', uri, body), post, false],
    ['v2, other body', v2('POST', uri, '{}'), post, false],
    ['v2, other secret', v2('POST', uri, body, 'another'), post, false],
    ['v2, labelled v1', { ...v2('POST', uri, body), 'x-hubspot-signature-version': 'v1' }, post, false],
    ['v2, no version', { 'x-hubspot-signature': v2('POST', uri, body)['x-hubspot-signature'] }, post, false],
    ['v2, no signature', { 'x-hubspot-signature-version': 'v2' }, post, false],
    ['v1', v1(body), post, true],
    ['v1, other body', v1('{}'), post, false],
    ['v1, other secret', v1(body, 'another'), post, false],
    ['v1 of an empty body, which is one constant', v1(''), {}, false],
    ['v3 under the older name', { ...v1(body), 'x-hubspot-signature-version': 'v3' }, post, false],
    ['none', {}, {}, false],
  ];
  for (const [name, headers, changed, expected] of rows) {
    t.equal(valid(headers, changed), expected, `${name} → ${expected}`);
  }
});
