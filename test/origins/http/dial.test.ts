import { createServer } from 'node:net';
import t from 'tap';
import { createMetrics } from '../../../src/metrics.ts';
import { isPublic, publicOnly, type Resolve } from '../../../src/origins/http/dial.ts';
import { HttpOrigin } from '../../../src/origins/http/http.ts';
import { codeOf, collect } from '../../contracts/origin.ts';
import { listen, serve } from '../../servers/serve.ts';

/** A signal that never aborts. */
const awake = new AbortController().signal;

/** Addresses by name. Any other name has none. */
function names(table: Record<string, string[]>): Resolve {
  return async (hostname) => {
    const addresses = table[hostname];
    if (!addresses) throw Object.assign(new Error(`no address for ${hostname}`), { code: 'ENOTFOUND' });
    return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
  };
}

function origin(allowedHosts: string[], resolve?: Resolve): HttpOrigin {
  return new HttpOrigin({
    allowedHosts,
    credentials: new Map(),
    maxBytes: 1e6,
    fetchTimeoutMs: 5000,
    stallTimeoutMs: 2000,
    metrics: createMetrics(),
    ...(resolve ? { resolve } : {}),
  });
}

t.test('a name without an address: origin_unavailable, and the process goes on', async (t) => {
  const resolve: Resolve = async () => [];
  for (const allowedHosts of [[], ['nobody.example']]) {
    const nobody = origin(allowedHosts, resolve);
    t.equal(await codeOf(nobody.stat('https://nobody.example/call.wav')), 'origin_unavailable');
    await nobody.close();
  }
});

t.test('which addresses are public', async (t) => {
  const table: [string, boolean][] = [
    ['8.8.8.8', true],
    ['1.1.1.1', true],
    ['100.63.255.255', true],
    ['100.128.0.1', true],
    ['172.15.255.255', true],
    ['172.32.0.1', true],
    ['223.255.255.255', true],
    ['2606:4700:4700::1111', true],
    ['2a00:1450::5', true],
    ['0.0.0.0', false],
    ['0.255.1.1', false],
    ['10.255.255.255', false],
    ['100.64.0.1', false],
    ['127.0.0.1', false],
    ['169.254.169.254', false],
    ['172.31.255.255', false],
    ['192.168.255.255', false],
    ['198.19.0.1', false],
    ['224.0.0.1', false],
    ['255.255.255.255', false],
    ['::', false],
    ['::1', false],
    ['::ffff:8.8.8.8', false],
    ['64:ff9b::808:808', false],
    ['2001:0:1::1', false],
    ['2002:7f00:1::', false],
    ['fc00::1', false],
    ['fe80::1', false],
    ['fe80::1%eth0', false],
    ['ff02::1', false],
    ['', false],
    ['localhost', false],
  ];
  for (const [address, is] of table) t.equal(isPublic(address), is, `${address || 'nothing'}: ${is}`);
});

t.test('every trick to reach an address that is not public is denied', async (t) => {
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    socket.destroy();
  });
  const { port } = await listen(t, server);

  const resolve = names({
    localhost: ['127.0.0.1'],
    'localhost.': ['127.0.0.1'],
    'app.localhost': ['::1'],
    'loopback.example': ['127.0.0.1'],
    'mixed.example': ['93.184.215.14', '127.0.0.1'],
    'mixed6.example': ['2606:4700::1', '::1'],
    'mapped.example': ['::ffff:127.0.0.1'],
    'zone.example': ['fe80::1%lo'],
    'metadata.google.internal': ['169.254.169.254'],
    'cgnat.example': ['100.100.100.200'],
    'intranet.example': ['10.1.2.3'],
    'intranet.example.': ['10.1.2.3'],
    'this.example': ['0.0.0.0'],
    'nat64.example': ['64:ff9b::7f00:1'],
    'vendor.example': ['93.184.215.14'],
    'pbx.example': ['127.0.0.1'],
  });
  const tricks: [string, string][] = [
    ['loopback', 'https://127.0.0.1/'],
    ['loopback, another of its addresses', 'https://127.8.8.8/'],
    ['decimal', 'https://2130706433/'],
    ['octal', 'https://0177.0.0.1/'],
    ['octal with zeros', 'https://0000177.0000.0.01/'],
    ['hexadecimal', 'https://0x7f000001/'],
    ['hexadecimal by parts', 'https://0x7f.0x0.0x0.0x1/'],
    ['short', 'https://127.1/'],
    ['with a trailing dot', 'https://127.0.0.1./'],
    ['full-width digits', 'https://１２７.0.0.1/'],
    ['circled digits', 'https://①②⑦.⓪.⓪.①/'],
    ['percent-encoded', 'https://%31%32%37.0.0.1/'],
    ['this host', 'https://0.0.0.0/'],
    ['this host, short', 'https://0/'],
    ['metadata', 'https://169.254.169.254/latest/meta-data/'],
    ['metadata in decimal', 'https://2852039166/'],
    ['metadata of Azure', 'https://168.63.129.16/'],
    ['metadata of Alibaba', 'https://100.100.100.200/'],
    ['private, 10', 'https://10.0.0.1/'],
    ['private, 172.16', 'https://172.16.0.1/'],
    ['private, 192.168', 'https://192.168.0.1/'],
    ['behind a NAT', 'https://100.64.0.1/'],
    ['multicast', 'https://224.0.0.1/'],
    ['broadcast', 'https://255.255.255.255/'],
    ['IPv6 loopback', 'https://[::1]/'],
    ['IPv6 unspecified', 'https://[::]/'],
    ['IPv4-mapped', 'https://[::ffff:127.0.0.1]/'],
    ['IPv4-mapped in hexadecimal', 'https://[::ffff:7f00:1]/'],
    ['IPv4-compatible', 'https://[::127.0.0.1]/'],
    ['NAT64', 'https://[64:ff9b::127.0.0.1]/'],
    ['NAT64, local', 'https://[64:ff9b:1::7f00:1]/'],
    ['6to4', 'https://[2002:7f00:1::]/'],
    ['Teredo', 'https://[2001:0:7f00:1::]/'],
    ['link-local', 'https://[fe80::1]/'],
    ['unique local', 'https://[fd00:ec2::254]/'],
    ['site-local', 'https://[fec0::1]/'],
    ['IPv6 multicast', 'https://[ff02::1]/'],
    ['documentation', 'https://[2001:db8::1]/'],
    ['localhost', 'https://localhost/'],
    ['localhost in capitals', 'https://LOCALHOST/'],
    ['localhost with a trailing dot', 'https://localhost./'],
    ['below localhost', 'https://app.localhost/'],
    ['a name for loopback', 'https://loopback.example/'],
    ['a name for a public address and loopback', 'https://mixed.example/'],
    ['a name for both, by IPv6', 'https://mixed6.example/'],
    ['a name for a mapped address', 'https://mapped.example/'],
    ['a name for an address with a zone', 'https://zone.example/'],
    ['the metadata service by name', 'https://metadata.google.internal/'],
    ['a name for metadata', 'https://cgnat.example/'],
    ['a name for a private address', 'https://intranet.example/'],
    ['the same with a trailing dot', 'https://intranet.example./'],
    ['a name for this host', 'https://this.example/'],
    ['a name for NAT64', 'https://nat64.example/'],
    ['plain http', 'http://vendor.example/'],
    ['another port', `https://vendor.example:${port}/`],
    ['another port of loopback', `https://127.0.0.1:${port}/`],
    ['credentials', 'https://user:password@vendor.example/'],
    ['a user alone', 'https://user@vendor.example/'],
    ['the host as a user', 'https://vendor.example@127.0.0.1/'],
    ['backslash for slash', 'https:\\\\127.0.0.1\\'],
    ['no slashes', 'https:127.0.0.1/'],
    ['a line break inside', 'https://127.0\n.0.1/'],
    ['white space around', '  https://127.0.0.1/ '],
    ['file', 'file:///etc/passwd'],
    ['ftp', 'ftp://vendor.example/'],
    ['data', 'data:audio/wav;base64,UklGRg=='],
    ['gopher', 'gopher://127.0.0.1:70/_'],
    ['no URL', '//127.0.0.1/'],
    ['nothing', ''],
    ['the allowed host on another port', 'http://pbx.example:8081/'],
    ['a name below the allowed host', `http://x.pbx.example:${port}/`],
    ['the allowed host with a trailing dot', `http://pbx.example.:${port}/`],
    ['the allowed host as a user', `http://pbx.example:${port}@127.0.0.1/`],
  ];
  const http = origin([`pbx.example:${port}`], resolve);
  t.teardown(() => http.close());
  for (const [trick, url] of tricks) {
    t.equal(await codeOf(http.fetchWhole(url, awake)), 'source_refused', `${trick}: denied`);
    t.equal(await codeOf(http.stat(url, awake)), 'source_refused', `${trick}: denied to stat, too`);
  }
  t.equal(connections, 0, 'nothing was connected to');
  t.equal(await codeOf(http.fetchWhole(`http://pbx.example:${port}/`, awake)), 'origin_unavailable');
  t.ok(connections > 0, 'the allowed host was, so the server could have been reached');
});

t.test('a name whose address changes is checked by the address that is connected to', async (t) => {
  const results = [['93.184.215.14'], ['127.0.0.1']];
  let lookups = 0;
  const resolve: Resolve = async () =>
    results[Math.min(lookups++, 1)]!.map((address) => ({ address, family: 4 }));
  t.same(await publicOnly(resolve)('rebind.example'), [{ address: '93.184.215.14', family: 4 }]);
  t.equal(lookups, 1, 'looked up once: the socket gets the addresses that were checked');
  t.equal(
    await codeOf(publicOnly(resolve)('rebind.example')),
    'source_refused',
    'the next connection is checked anew',
  );

  lookups = 1;
  const http = origin([], resolve);
  t.teardown(() => http.close());
  t.equal(await codeOf(http.fetchWhole('https://rebind.example/', awake)), 'source_refused');
  t.equal(lookups, 2, 'one look-up for one connection');
});

t.test('a redirect is followed only to a URL that is allowed, and five times at most', async (t) => {
  const hits: string[] = [];
  const { port } = await serve(t, (request, response) => {
    hits.push(request.url!);
    const to = new URLSearchParams(request.url!.split('?')[1]).get('to');
    if (to === null) response.end('whole');
    else response.writeHead(302, { location: to }).end();
  });
  const resolve = names({ 'vendor.example': ['127.0.0.1'], 'public.example': ['127.0.0.1'] });
  const http = origin([`vendor.example:${port}`], resolve);
  t.teardown(() => http.close());
  const vendor = `http://vendor.example:${port}`;
  const via = (to: string) => `${vendor}/?to=${encodeURIComponent(to)}`;

  t.equal(
    String(await collect(await http.fetchWhole(via('/file'), awake))),
    'whole',
    'within the host: followed',
  );
  t.equal(
    String(await collect(await http.fetchWhole(via(via(via('/file'))), awake))),
    'whole',
    'three in a row: followed',
  );

  const bad: [string, string][] = [
    ['to loopback', `http://127.0.0.1:${port}/secret`],
    ['to loopback by https', 'https://127.0.0.1/secret'],
    ['to metadata', 'http://169.254.169.254/latest/meta-data/'],
    ['to metadata by https', 'https://169.254.169.254/latest/meta-data/'],
    ['to a name for loopback', 'https://public.example/secret'],
    ['to IPv6 loopback', `http://[::1]:${port}/secret`],
    ['without a scheme', `//127.0.0.1:${port}/secret`],
    ['to a file', 'file:///etc/passwd'],
    ['to credentials', `http://u:p@vendor.example:${port}/secret`],
    ['in a second step', via('https://127.0.0.1/secret')],
    ['to nowhere', 'http://'],
  ];
  for (const [trick, to] of bad) {
    t.equal(await codeOf(http.fetchWhole(via(to), awake)), 'source_refused', `${trick}: denied`);
  }
  t.notOk(
    hits.some((url) => url.startsWith('/secret')),
    'none was followed',
  );

  const loop = await serve(t, (request, response) => {
    hits.push('loop');
    response.writeHead(307, { location: request.url! }).end();
  });
  const host = `127.0.0.1:${loop.port}`;
  const looped = origin([host]);
  t.teardown(() => looped.close());
  t.equal(await codeOf(looped.fetchWhole(`http://${host}/`, awake)), 'source_refused', 'in a loop: denied');
  t.equal(hits.filter((hit) => hit === 'loop').length, 6, 'after five redirects');
});
