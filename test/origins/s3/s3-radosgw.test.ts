import { request as forward } from 'node:http';
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { Problem } from '../../../src/errors.ts';
import { createMetrics } from '../../../src/metrics.ts';
import { S3Store } from '../../../src/origins/s3/s3.ts';
import { codeOf, originContract, pattern, readAll, untilReleased } from '../../contracts/origin.ts';
import { serve } from '../../servers/serve.ts';

const endpoint = process.env.PLAYHEAD_TEST_S3_ENDPOINT;
const skip = endpoint ? false : 'PLAYHEAD_TEST_S3_ENDPOINT is not set';
const megabyte = 1024 * 1024;
let buckets = 0;

/** A new bucket, a store with a prefix in it, and the SDK to look behind the store. */
async function setUp(t: Pick<Test, 'teardown'>, prefix = 'calls of 2026/') {
  const admin = new S3Client({ endpoint: endpoint!, region: 'us-east-1', forcePathStyle: true });
  const Bucket = `playhead-${process.pid}-${buckets++}`;
  await admin.send(new CreateBucketCommand({ Bucket }));
  const metrics = createMetrics();
  const options = { endpoint: endpoint!, forcePathStyle: true, stallTimeoutMs: 5000, metrics };
  const store = new S3Store({ bucket: Bucket, prefix, ...options });
  const anywhere = new S3Store(options);
  t.teardown(async () => {
    await Promise.all([store.close(), anywhere.close()]);
    await admin.send(new DeleteBucketCommand({ Bucket })).catch(() => {}); // only if it is empty
    admin.destroy();
  });
  const put = async (name: string, Body: Uint8Array, more: Partial<PutObjectCommandInput> = {}) => {
    await admin.send(new PutObjectCommand({ Bucket, Key: prefix + name, Body, ...more }));
    return name;
  };
  const requests = async () =>
    (await metrics.originRequests.get()).values.reduce((sum, { value }) => sum + value, 0);
  return { admin, Bucket, store, anywhere, put, requests };
}

async function* chunks(bytes: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

t.test('the contract', { skip }, async (t) => {
  originContract(t, async (t) => {
    const { store, put } = await setUp(t);
    return { origin: store, store, put, missing: 'nothing.wav', held: () => store.underWay };
  });
});

/** A proxy in front of S3. The first request that `isToBeLost` selects reaches S3, and its response is lost. */
async function losingResponse(
  t: Test,
  isToBeLost: (method: string, query: URLSearchParams) => boolean,
  instead: 'nothing' | 404,
) {
  const { hostname, port } = new URL(endpoint!);
  let lost = 0;
  const proxy = await serve(t, (request, response) => {
    const { method, headers, url } = request;
    const passed = forward({ hostname, port, method, headers, path: url }, (upstream) => {
      if (lost === 0 && isToBeLost(method!, new URL(url!, endpoint).searchParams)) {
        lost++;
        upstream.resume();
        return void (instead === 404 ? response.writeHead(instead).end() : request.socket.resetAndDestroy());
      }
      response.writeHead(upstream.statusCode!, upstream.headers);
      upstream.pipe(response);
    });
    request.pipe(passed);
  });
  return { url: proxy.url, lost: () => lost };
}

// The SDK repeats the request. S3 may then report that a complete upload does not exist: the proxy does so itself.
for (const [name, size, isToBeLost, instead] of [
  ['the object existed when the request was repeated', 1000, (method) => method === 'PUT', 'nothing'],
  [
    'the upload was gone when the request was repeated',
    6 * megabyte,
    (method, query) => method === 'POST' && query.has('uploadId'),
    404,
  ],
] as [string, number, (method: string, query: URLSearchParams) => boolean, 'nothing' | 404][]) {
  t.test(`a write does not fail because ${name}: it is its own`, { skip }, async (t) => {
    const { Bucket, store: direct } = await setUp(t, '');
    const s3 = await losingResponse(t, isToBeLost, instead);
    const options = {
      endpoint: s3.url,
      forcePathStyle: true,
      stallTimeoutMs: 5000,
      metrics: createMetrics(),
    };
    const store = new S3Store({ bucket: Bucket, ...options });
    t.teardown(() => store.close());
    const version = await store.write('a.wav', chunks(pattern(size)));
    t.equal(s3.lost(), 1);
    t.ok((await readAll(direct, 'a.wav', { first: 0, last: size - 1 }, version)).equals(pattern(size)));
    await direct.remove('a.wav');
  });
}

t.test('keys can have any characters that S3 allows', { skip }, async (t) => {
  const { store, anywhere, Bucket } = await setUp(t, '');
  const keys = [
    'plain.wav',
    'with space.wav',
    'a+b.wav',
    '100%.wav',
    '%2f%2F%00.wav',
    'a//b.wav',
    '/leading.wav',
    'trailing/',
    'what?really#yes&x=1;y',
    'a/../b.wav',
    '../up.wav',
    './here.wav',
    'q\'uo"te`.wav',
    'back\\slash.wav',
    'né 音声 🎧.wav',
    'é.wav',
    '!*()$,:@=~^{}[]|<>.wav',
    'k'.repeat(1024),
  ];
  for (const [i, key] of keys.entries()) {
    const name = key.length > 99 ? 'the longest' : key;
    const bytes = pattern(1000, i);
    const version = await store.write(key, chunks(bytes));
    t.ok((await readAll(store, key, { first: 3, last: 999 }, version)).equals(bytes.subarray(3)), name);
    const reference = `${Bucket}/${key}`;
    t.same(await anywhere.stat(reference), await store.stat(key), `${name}, by reference`);
    t.ok((await readAll(anywhere, reference, { first: 3, last: 999 }, version)).equals(bytes.subarray(3)));
  }
  for (const key of keys) await store.remove(key);
  for (const key of keys) t.equal(await codeOf(store.stat(key)), 'not_found');
});

t.test('a range costs one request, and so does the whole', { skip }, async (t) => {
  const { store, put, requests } = await setUp(t);
  const bytes = pattern(3 * megabyte);
  const key = await put('a.wav', bytes);
  const version = await store.stat(key);
  t.equal(await requests(), 1, 'stat: one');
  for (let i = 0; i < 20; i++)
    await readAll(store, key, { first: i * 1000, last: i * 1000 + 65_535 }, version);
  t.equal(await requests(), 21, 'twenty ranges: twenty');
  t.ok((await readAll(store, key, { first: 0, last: bytes.length - 1 }, version)).equals(bytes));
  t.equal(await requests(), 22, 'the whole: one');
});

t.test('a recording of many parts is stored in order', { skip }, async (t) => {
  const { store, admin, Bucket } = await setUp(t);
  for (const size of [5 * megabyte - 1, 5 * megabyte, 5 * megabyte + 1, 30 * megabyte, 31_457_281]) {
    const bytes = pattern(size);
    const key = `${size}.wav`;
    const version = await store.write(key, chunks(bytes, 100_003));
    const { etag } = version;
    t.match(etag, size < 5 * megabyte ? /^"\w+"$/ : /-\d"$/, `${size} bytes: ${etag}`);
    t.ok((await readAll(store, key, { first: 0, last: size - 1 }, version)).equals(bytes));
    await store.remove(key);
  }
  t.notOk((await admin.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads, 'no upload is left open');
});

t.test('a write that breaks or is aborted between parts leaves no upload', { skip }, async (t) => {
  const { store, admin, Bucket } = await setUp(t);
  const breaking = (async function* () {
    yield pattern(17 * megabyte);
    throw new Error('the upload broke');
  })();
  t.match(await codeOf(store.write('a.wav', breaking)), /the upload broke/);

  const changing = (async function* () {
    yield pattern(17 * megabyte);
    throw new Problem('version_changed');
  })();
  t.equal(
    await codeOf(store.write('a.wav', changing)),
    'version_changed',
    'the error of the source, not of the write',
  );

  const abortion = new AbortController();
  const aborting = (async function* () {
    yield pattern(17 * megabyte);
    abortion.abort(new Error('enough'));
    yield pattern(17 * megabyte);
  })();
  t.match(await codeOf(store.write('a.wav', aborting, abortion.signal)), /enough/);
  t.notOk((await admin.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads);
  t.equal(await codeOf(store.stat('a.wav')), 'not_found');
});

t.test('remove aborts what a killed process left of its upload, and nothing else', { skip }, async (t) => {
  const { store, admin, Bucket } = await setUp(t, 'p');
  for (const Key of ['p/a.wav', 'p/a.wav', 'p/a.wav2']) {
    const { UploadId } = await admin.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const Body = pattern(5 * megabyte);
    await admin.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body }));
  }
  await store.remove('a.wav');
  const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket }));
  t.same(
    Uploads.map(({ Key }) => Key),
    ['p/a.wav2'],
  );
  await store.remove('a.wav2');
});

t.test('in a bucket with versioning, remove erases every version', { skip }, async (t) => {
  const { store, admin, put, Bucket } = await setUp(t, '');
  const VersioningConfiguration = { Status: 'Enabled' } as const;
  await admin.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  const key = await put('a.wav', pattern(1000, 1));
  const version = await store.stat(key);
  await put('a.wav', pattern(1000, 2));
  await put('a.wav.more', pattern(10));
  t.equal(await codeOf(readAll(store, key, { first: 0, last: 9 }, version)), 'version_changed');

  await store.remove(key);
  t.equal(await codeOf(store.stat(key)), 'not_found');
  const { Versions = [], DeleteMarkers } = await admin.send(new ListObjectVersionsCommand({ Bucket }));
  t.same(
    Versions.map(({ Key }) => Key),
    ['a.wav.more'],
    'every version is erased, and no other recording',
  );
  t.notOk(DeleteMarkers);
  await store.remove('a.wav.more');
});

t.test('an object encrypted with a key of KMS is read like any other', { skip }, async (t) => {
  const { store, put } = await setUp(t);
  const bytes = pattern(megabyte);
  const encrypted = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'testkey-1' } as const;
  const rejection = await put('a.wav', bytes, encrypted).then(
    () => undefined,
    (error) => error.name,
  );
  if (rejection) return t.pass('not on this server', { skip: `it has no KMS: ${rejection}` });
  const version = await store.stat('a.wav');
  t.equal(version.size, bytes.length);
  for (const [first, last] of [
    [0, 0],
    [1, 4096],
    [500_000, 700_000],
    [0, bytes.length - 1],
  ] as const) {
    t.ok((await readAll(store, 'a.wav', { first, last }, version)).equals(bytes.subarray(first, last + 1)));
  }
  await put('a.wav', bytes, encrypted);
  t.equal(
    await codeOf(readAll(store, 'a.wav', { first: 0, last: 9 }, { ...version, etag: '"other"' })),
    'version_changed',
  );
  await store.remove('a.wav');
});

t.test('a key that names no object costs no request', { skip }, async (t) => {
  const { store, anywhere, requests } = await setUp(t);
  const nowhere = [
    '',
    'bucket',
    'bucket/',
    '/key',
    '../key',
    'evil.example:80/key',
    'a@b/key',
    'b?/key',
    'arn:aws:s3:::b/key',
  ];
  for (const key of nowhere) t.equal(await codeOf(anywhere.stat(key)), 'not_found', key);
  t.equal(await codeOf(store.stat('k'.repeat(1025))), 'not_found', 'too long');
  t.equal(await codeOf(store.stat('\ud800')), 'not_found', 'half a character');
  t.equal(await requests(), 0);
  t.equal(await codeOf(anywhere.stat('no-such-bucket-anywhere/key')), 'not_found');
});

t.test('fifty connections serve two hundred reads at once', { skip }, async (t) => {
  const { store, put } = await setUp(t);
  const bytes = pattern(4 * megabyte);
  const key = await put('a.wav', bytes);
  const version = await store.stat(key);
  const reads = Array.from({ length: 200 }, async (_, i) => {
    const range = { first: i * 9000, last: i * 9000 + 199_999 };
    return (await readAll(store, key, range, version)).equals(bytes.subarray(range.first, range.last + 1));
  });
  t.same(new Set(await Promise.all(reads)), new Set([true]));
  t.equal(await untilReleased(() => store.underWay), 0);
});
