import fc from 'fast-check';
import t from 'tap';
import {
  callbackUrl,
  externalIdIn,
  oauthPath,
  publicBase,
  retrieveUrl,
  retrieveUrlTemplate,
  streamUrl,
  tokenIn,
} from '../src/urls.ts';

const publicUrl = 'https://recordings.example/calls';
const accessKey = 'access-key';
const account = { externalAccountId: 'acct/1', appId: '101' };

t.test('the public base is publicUrl, or the server’s address if publicUrl is empty', async (t) => {
  const server = { listeningOrigin: 'http://127.0.0.1:41234' };
  t.equal(publicBase({ publicUrl }, server), publicUrl);
  t.equal(publicBase({ publicUrl: '' }, server), server.listeningOrigin);
  const closed = {
    get listeningOrigin(): string {
      throw new Error('not listening');
    },
  };
  t.equal(publicBase({ publicUrl }, closed), publicUrl, 'the server’s address is not needed then');
});

t.test('the registered URL has the access key only if HubSpot authenticates by it', async (t) => {
  const path = '/retrieve/authenticated/recordings/%s';
  const template = (...retrieveAuth: ('key' | 'signature' | 'open')[]) =>
    retrieveUrlTemplate({ publicUrl, retrieveAuth }, accessKey);
  t.equal(template('key'), `${publicUrl}/k/${accessKey}${path}`);
  t.equal(template('signature', 'key'), `${publicUrl}/k/${accessKey}${path}`);
  t.equal(template('signature'), `${publicUrl}${path}`);
  t.equal(template('open'), `${publicUrl}${path}`);
});

/** The request target that the gateway receives if HubSpot requests this URL. */
function targetOf(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}

function roundTrip(externalId: string): string {
  const template = retrieveUrlTemplate({ publicUrl, retrieveAuth: ['key'] }, accessKey);
  return externalIdIn(targetOf(retrieveUrl(template, { externalId, ...account })));
}

t.test('an externalId survives the way to HubSpot and back', async (t) => {
  const ids = [
    'plain',
    'a/b',
    'a%2Fb',
    '100%',
    '%s',
    'Müller',
    'ключ',
    'a b+c',
    '?#&=',
    '$&',
    '/recordings/x',
    '😀',
  ];
  for (const id of ids) t.equal(roundTrip(id), id, id);
  // Every client resolves a path segment that is only dots, even if it is encoded.
  const text = fc.string({ unit: 'grapheme', minLength: 1 }).filter((id) => !/^\.+$/.test(id));
  fc.assert(fc.property(text, (id) => roundTrip(id) === id));
  t.pass('any text');
});

t.test('the query has the account and the app', async (t) => {
  const url = new URL(retrieveUrl('https://x.example/%s', { externalId: 'a?b', ...account }));
  t.same(Object.fromEntries(url.searchParams), account);
});

const targets: [name: string, target: string, externalId: string][] = [
  ['a slash that was not encoded', '/k/x/retrieve/authenticated/recordings/a/b?appId=1', 'a/b'],
  ['an escape that cannot be decoded', '/retrieve/authenticated/recordings/100%', '100%'],
  ['an escape that was encoded itself', '/retrieve/authenticated/recordings/a%252Fb', 'a%2Fb'],
];
t.test('the externalId is decoded once', async (t) => {
  for (const [name, target, externalId] of targets) t.equal(externalIdIn(target), externalId, name);
});

t.test('the token of a stream URL can be read from it', async (t) => {
  const token = fc.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/);
  const base = fc.webUrl({ withQueryParameters: false }).map((url) => url.replace(/\/+$/, ''));
  fc.assert(fc.property(base, token, (base, token) => tokenIn(streamUrl(base, token)) === token));
  t.equal(
    tokenIn(streamUrl('https://x.example/stream/y', 'a.b.c')),
    'a.b.c',
    'a base that has /stream/ itself',
  );
  t.equal(tokenIn('https://x.example/stream/a.b.c/call.wav?x=1#y'), 'a.b.c', 'with a file name after it');
  t.equal(tokenIn('a.b.c'), undefined, 'a token alone');
});

t.test('the OAuth routes are below the public URL', async (t) => {
  t.equal(callbackUrl(publicUrl), `${publicUrl}/oauth/callback`);
  t.equal(oauthPath(publicUrl), '/calls/oauth');
  t.equal(oauthPath('https://recordings.example'), '/oauth');
  t.equal(oauthPath(''), '/oauth');
});
