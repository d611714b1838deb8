import { pathToFileURL } from 'node:url';
import t from 'tap';
import { Sources, schemeOf } from '../../src/ingest/sources.ts';
import { createMetrics } from '../../src/metrics.ts';
import { openOrigins } from '../../src/origins/open.ts';
import { readConfig } from '../../src/settings/config.ts';
import { codeOf, collect } from '../contracts/origin.ts';

const neverAborted = new AbortController().signal;

t.test('which sources can be played from where they are', async (t) => {
  const origins = await openOrigins(
    readConfig({ 'data-dir': t.testdir(), 'source-roots': 's3://bucket,s3://other/in' }, {}),
    createMetrics(),
  );
  t.teardown(() => origins.close());
  const sources = new Sources(origins.sources);
  const allowed: [source: string, name: string, key: string][] = [
    ['s3://bucket/call.wav', 's3', 'bucket/call.wav'],
    ['s3://bucket/a b/../%2e?c#d', 's3', 'bucket/a b/../%2e?c#d'],
    ['s3://other/in/call.wav', 's3', 'other/in/call.wav'],
    ['https://vendor.example/call.wav?x=1', 'http', 'https://vendor.example/call.wav?x=1'],
    ['HTTP://Vendor.example/call.wav', 'http', 'http://vendor.example/call.wav'],
  ];
  for (const [source, name, key] of allowed) t.same(sources.refer(source), { name, key }, source);
  const denied: [source: string, why: RegExp][] = [
    ['s3://bucket', /not inside any folder or bucket of PLAYHEAD_SOURCE_ROOTS/],
    ['s3://bucket2/call.wav', /not inside/],
    ['s3://other/out/call.wav', /not inside/],
    ['s3://other/in2/call.wav', /not inside/],
    ['file:///call.wav', /can only be copied/],
    ['ftp://vendor.example/call.wav', /must start with one of file:, s3:, https:, http:/],
    ['call.wav', /must start with/],
    ['', /must start with/],
  ];
  for (const [source, why] of denied) {
    t.throws(() => sources.refer(source), { code: 'source_refused', message: why }, source);
  }
});

t.test('which files can be copied', async (t) => {
  const folder = t.testdir({ in: { 'call.wav': 'audio' }, 'out.wav': 'secret' });
  const url = (path: string) => pathToFileURL(`${folder}/${path}`).href;
  const origins = await openOrigins(
    readConfig({ 'data-dir': `${folder}/data`, 'source-roots': `${folder}/in` }, {}),
    createMetrics(),
  );
  t.teardown(() => origins.close());
  const sources = new Sources(origins.sources);
  t.equal(String(await collect(await sources.open(url('in/call.wav'), neverAborted))), 'audio');
  const denied: [source: string, code: string][] = [
    [url('in/none.wav'), 'not_found'],
    [url('out.wav'), 'source_refused'],
    [url('in'), 'source_refused'],
    [`file:${folder}/in/../out.wav`, 'source_refused'],
    [`file:${folder}/in/%2e%2e/out.wav`, 'source_refused'],
    [`file:${folder}/in%2fcall.wav`, 'source_refused'],
    [`file://host${folder}/in/call.wav`, 'source_refused'],
  ];
  for (const [source, code] of denied)
    t.equal(await codeOf(sources.open(source, neverAborted)), code, source);
});

t.test('a path is not a source', async (t) => {
  t.equal(schemeOf('https://vendor.example/call.wav'), 'https:');
  t.equal(schemeOf('file:/recordings/call.wav'), 'file:');
  for (const path of ['call.wav', '/recordings/call.wav', 'C:/call.wav', 'constructor:x'])
    t.equal(schemeOf(path), undefined, path);
});
