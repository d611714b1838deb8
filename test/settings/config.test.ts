import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import {
  ConfigError,
  flagOf,
  readConfig,
  type SettingKey,
  settings,
  variableOf,
} from '../../src/settings/config.ts';

/** Makes a new folder the working folder: empty, or with this `.env`. */
function inFolder(t: Test, dotEnv?: string): string {
  const before = process.cwd();
  const folder = t.testdir(dotEnv === undefined ? {} : { '.env': dotEnv });
  process.chdir(folder);
  t.teardown(() => process.chdir(before));
  return folder;
}

t.test('flags override the environment, which overrides .env, which overrides the default', async (t) => {
  inFolder(t, 'PLAYHEAD_PORT=1\nPLAYHEAD_HOST=one.test\nPLAYHEAD_TOKEN_TTL=1m\n');
  const env = { PLAYHEAD_PORT: '2', PLAYHEAD_HOST: 'two.test' };
  const config = readConfig({ port: '3' }, env);
  t.equal(config.port, 3, 'a flag');
  t.equal(config.host, 'two.test', 'the environment');
  t.equal(config.tokenTtl, 60_000, '.env');
  t.equal(config.logLevel, 'info', 'the default');
});

t.test('defaults that depend on other settings', async (t) => {
  const folder = inFolder(t);
  const config = readConfig({}, {});
  t.equal(config.dataDir, join(folder, 'data'));
  t.equal(config.databaseUrl, `sqlite:${join(folder, 'data', 'playhead.db')}`);
  t.equal(config.store, `file:${join(folder, 'data', 'recordings')}`);
  t.equal(config.publicUrl, 'http://127.0.0.1:8080');
  t.equal(readConfig({ host: '::1', port: '81' }, {}).publicUrl, 'http://[::1]:81', 'IPv6 in brackets');
  t.equal(readConfig({ host: '::', port: '81' }, {}).publicUrl, 'http://[::1]:81', 'every IPv6 address');
  t.equal(
    readConfig({ 'public-url': 'https://a.test/x/' }, {}).publicUrl,
    'https://a.test/x',
    'no last slash',
  );
});

t.test('the default store is in the data folder, whatever characters its path has', async (t) => {
  const folder = inFolder(t);
  for (const name of ['a#b', 'a?b', '100%', 'a%20b', 'a b', 'ü']) {
    const { store } = readConfig({ 'data-dir': join(folder, name) }, {});
    t.equal(fileURLToPath(new URL(store)), join(folder, name, 'recordings'));
  }
});

const valid: [key: SettingKey, text: string, value: unknown][] = [
  ['port', '0', 0],
  ['port', '65535', 65535],
  ['tokenTtl', '250ms', 250],
  ['tokenTtl', '90s', 90_000],
  ['tokenTtl', '2d', 172_800_000],
  ['drainTimeout', '0s', 0],
  ['cacheMemory', '0', 0],
  ['cacheMemory', '64MB', 67_108_864],
  ['cacheMemory', '2 gb', 2_147_483_648],
  ['s3ForcePathStyle', 'true', true],
  ['sourceHosts', ' a , b ,', ['a', 'b']],
  ...[
    '3f9c1d7e0a5b48269e1c7d0f4a8b2635', // 32 hexadecimal digits
    'q8ZxN4_tW2kLrV0yHjP5Gd', // 22 base64url characters
    '748291036574829103657482910365748291036', // 39 digits
    'f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
  ].map((apiKey): [SettingKey, string, unknown] => ['apiKeys', `${apiKey},`, [apiKey]]),
  ['retrieveAuth', 'key,open', ['key', 'open']],
  ['workers', 'auto', availableParallelism()],
  ['workers', '3', 3],
  ['hubspotApiVersion', 'v3', 'v3'],
];

t.test('valid values are parsed', async (t) => {
  inFolder(t);
  for (const [key, text, value] of valid) {
    t.strictSame(readConfig({}, { [variableOf(key)]: text })[key], value, `${variableOf(key)}=${text}`);
  }
});

const invalid: [key: SettingKey, text: string, sentence: RegExp][] = [
  ['port', '65536', /must be a whole number from 0 to 65535, not "65536"/],
  ['port', '-1', /whole number/],
  ...[
    'x',
    'secret',
    'a'.repeat(64),
    'ab'.repeat(32),
    '3f9c1d7e0a5b48269e1c7d0f4a8b263',
    '0123456789'.repeat(3),
  ].map((apiKey): [SettingKey, string, RegExp] => [
    'apiKeys',
    apiKey,
    /has a key that can be guessed; make one with `openssl/,
  ]),
  ['port', '0x50', /whole number/],
  ['port', '', /whole number/],
  ['tokenTtl', '8', /must be a duration such as/],
  ['tokenTtl', '8 hours', /duration/],
  ['tokenTtl', '0s', /must be from 1ms to 3650d, not "0s"/],
  ['tokenTtl', '999999999d', /must be from 1ms to 3650d/],
  ['stallTimeout', '0ms', /must be from 1ms to 24d/],
  ['stallTimeout', '25d', /must be from 1ms to 24d/],
  ['drainTimeout', '25d', /must be from 0s to 24d/],
  ['host', '', /must not be empty/],
  ['dataDir', '', /must not be empty/],
  ['cacheMemory', '1.5GB', /must be a size such as/],
  ['cacheMemory', '64MiB', /size/],
  ['s3ForcePathStyle', 'yes', /must be true or false, not "yes"/],
  ['channelPolicy', 'Strict', /must be strict or lenient/],
  ['retrieveAuth', '', /must name at least one of key, signature, open/],
  ['retrieveAuth', 'key,none', /must be key or signature or open, not "none"/],
  ['publicUrl', 'playhead.test', /must be an http:\/\/ or https:\/\/ URL/],
  ['publicUrl', 'ftp://a.test', /URL/],
  ['publicUrl', 'https://user:pass@a.test', /without query or credentials/],
  ['publicUrl', 'https://a.test/?x=1', /without query/],
  ['databaseUrl', 'mysql://a', /must start with postgres:\/\/ or sqlite:/],
  ['redisUrl', 'localhost', /must start with redis:\/\/ or rediss:\/\//],
  ['trustProxy', '10.0.0.0/33', /must list addresses or networks/],
  ['store', '/recordings', /must be file:\/folder or s3:\/\/bucket\/prefix/],
  ['store', 'file:recordings', /must be file:\/folder/],
  ['store', 'file:./recordings', /must be file:\/folder/],
  ['store', 'file://host/recordings', /must be file:\/folder/],
  ['store', 'file:/recordings#1', /must be file:\/folder/],
  ['store', 'file:/100%', /must be file:\/folder/],
  ['workers', '0', /whole number from 1/],
  ['logLevel', 'loud', /must be trace or debug/],
];

t.test('an invalid value ends in one sentence that names its variable or its flag', async (t) => {
  inFolder(t);
  for (const [key, text, sentence] of invalid) {
    const variable = variableOf(key);
    const fromEnvironment = failure(() => readConfig({}, { [variable]: text }));
    t.match(fromEnvironment, sentence, `${variable}=${text}`);
    t.ok(fromEnvironment.startsWith(`${variable} `) && /^[^\n]+\.$/.test(fromEnvironment), fromEnvironment);
    const fromFlag = failure(() => readConfig({ [flagOf(key)]: text }, {}));
    t.ok(fromFlag.startsWith(`--${flagOf(key)} `), fromFlag);
  }
});

t.test('the error on an invalid secret does not contain its value', async (t) => {
  inFolder(t);
  for (const [key, { secret }] of Object.entries(settings)) {
    if (!secret) continue;
    try {
      readConfig({}, { [variableOf(key)]: 'hunter2' });
    } catch (error) {
      t.notMatch((error as Error).message, 'hunter2', variableOf(key));
    }
  }
});

t.test('the error on an invalid URL does not contain the password in it', async (t) => {
  inFolder(t);
  const urls = ['publicUrl', 's3Endpoint', 'hubspotApiBase', 'databaseUrl', 'redisUrl', 'store'];
  for (const key of urls) {
    const message = failure(() => readConfig({}, { [variableOf(key)]: 'https://user:hunter2@host.test/' }));
    t.match(message, variableOf(key));
    t.notMatch(message, 'hunter2');
  }
});

t.test('an unknown PLAYHEAD_ variable is an error that names it', async (t) => {
  t.test('in .env', async (t) => {
    inFolder(t, 'PLAYHEAD_PROT=1\n');
    t.match(
      failure(() => readConfig({}, {})),
      /^PLAYHEAD_PROT is not a setting/,
    );
  });
  t.test('in the environment', async (t) => {
    inFolder(t);
    t.match(
      failure(() => readConfig({}, { PLAYHEAD_HOTS: 'a' })),
      /^PLAYHEAD_HOTS is not a setting/,
    );
    t.equal(readConfig({}, { HOTS: 'a' }).port, 8080, 'other variables are ignored');
  });
});

t.test('signatures need the client secret', async (t) => {
  inFolder(t);
  t.match(
    failure(() => readConfig({ 'retrieve-auth': 'key,signature' }, {})),
    /^PLAYHEAD_HUBSPOT_CLIENT_SECRET is missing.*\.$/,
  );
  const config = readConfig({ 'retrieve-auth': 'key,signature', 'hubspot-client-secret': 'x' }, {});
  t.strictSame(config.retrieveAuth, ['key', 'signature']);
});

t.test('each setting has one variable, one flag and a description', async (t) => {
  for (const [key, { description }] of Object.entries(settings)) {
    t.match(description, /^[A-Z].*\.$/, variableOf(key));
    t.equal(variableOf(key), `PLAYHEAD_${flagOf(key).replaceAll('-', '_').toUpperCase()}`);
  }
  t.equal(variableOf('s3ForcePathStyle'), 'PLAYHEAD_S3_FORCE_PATH_STYLE');
  t.equal(flagOf('hubspotApiBase'), 'hubspot-api-base');
});

t.test('the command ends with 64 and the sentence on stderr', async (t) => {
  const cli = new URL('../../src/cli.ts', import.meta.url).pathname;
  const cwd = inFolder(t);
  const cases: [args: string[], env: Record<string, string>, sentence: RegExp][] = [
    [['serve'], { PLAYHEAD_PORT: 'http' }, /^PLAYHEAD_PORT must be a whole number.*\n$/],
    [['serve', '--token-ttl', 'soon'], {}, /^--token-ttl must be a duration.*\n$/],
    [['serve'], { PLAYHEAD_TYPO: '1' }, /^PLAYHEAD_TYPO is not a setting.*\n$/],
  ];
  for (const [args, env, sentence] of cases) {
    const { status, stderr, stdout } = spawnSync(process.execPath, [cli, ...args], {
      cwd,
      env,
      encoding: 'utf8',
      timeout: 20_000,
    });
    t.match(stderr, sentence, args.join(' '));
    t.equal(status, 64);
    t.equal(stdout, '');
  }
});

function failure(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
}
