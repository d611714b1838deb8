import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseEnv } from 'node:util';
import { apiVersions } from './hubspot-versions.ts';
import {
  baseUrl,
  databaseUrl,
  duration,
  flag,
  integer,
  type Kind,
  list,
  longestTimer,
  networks,
  nonEmpty,
  oneOf,
  redisUrl,
  size,
  someOf,
  storeUrl,
  text,
  workers,
} from './kinds.ts';

/** A wrong setting: the message is one sentence that names the variable. The start ends with exit code 64. */
export class ConfigError extends Error {}

interface Setting<T> {
  kind: Kind<T>;
  default: string;
  /** What docs/configuration.md and `playhead serve --help` say of it. */
  says: string;
  secret?: true;
}

function setting<T>(kind: Kind<T>, initial: string, says: string, more?: { secret: true }): Setting<T> {
  return { kind, default: initial, says, ...more };
}

/**
 * Every setting, once. The variable and the flag follow from the key:
 * `dataDir` is `PLAYHEAD_DATA_DIR` and `--data-dir`.
 */
export const settings = {
  host: setting(nonEmpty, '127.0.0.1', 'Address to listen on.'),
  port: setting(integer(0, 65535), '8080', 'Port to listen on; 0 takes a free one.'),
  publicUrl: setting(
    baseUrl,
    '',
    'How HubSpot and players reach this gateway; left out: `http://HOST:PORT`. Must be `https://` to register.',
  ),
  dataDir: setting(nonEmpty, './data', 'Folder for the database, the recordings and generated keys.'),
  databaseUrl: setting(databaseUrl, '', 'Database; left out: an SQLite file in the data folder.', {
    secret: true,
  }),
  store: setting(
    storeUrl,
    '',
    'Where ingested recordings are kept; left out: `recordings` in the data folder.',
  ),
  s3Endpoint: setting(baseUrl, '', 'S3 endpoint, for stores that are not AWS.'),
  s3Region: setting(text, '', 'S3 region; left out: what the AWS credential chain finds, else `us-east-1`.'),
  s3ForcePathStyle: setting(
    flag,
    'false',
    'Address buckets by path, as most S3 servers other than AWS need.',
  ),
  redisUrl: setting(
    redisUrl,
    '',
    'Redis for rate limits across replicas; left out: each process counts alone.',
    {
      secret: true,
    },
  ),
  apiKeys: setting(
    list,
    '',
    'API keys for `/v1`; left out: one is generated into `api-key` in the data folder on the first start.',
    { secret: true },
  ),
  secretKey: setting(
    text,
    '',
    'Encrypts signing keys and refresh tokens in the database; 43 base64url characters (32 bytes); left out: generated into `secret-key` in the data folder.',
    { secret: true },
  ),
  tokenTtl: setting(duration('1ms', '3650d'), '8h', 'How long an authenticated URL works.'),
  retrieveAuth: setting(
    someOf('key', 'signature', 'open'),
    'key',
    'How HubSpot proves itself when it asks for a URL: `key` in the path, HubSpot’s `signature`, or `open`; any one of those listed suffices.',
  ),
  channelPolicy: setting(
    oneOf('strict', 'lenient'),
    'strict',
    'What becomes of audio whose caller channel cannot be proved: `strict` refuses it, `lenient` keeps it with a warning.',
  ),
  maxAudioSize: setting(size, '2GB', 'Largest recording that is taken.'),
  sourceRoots: setting(
    list,
    '',
    'Folders, and `s3://bucket/prefix`, below which a source may lie that is not sent along; left out: none.',
  ),
  sourceHosts: setting(
    list,
    '',
    'Hosts such as `pbx.example:8080`, or without a port where it is the usual one, that sources may be fetched from by plain http and at private addresses; all others must be public and https.',
  ),
  sourceCredentials: setting(
    list,
    '',
    'Credentials for sources, each sent to its own host only: `host=bearer:TOKEN` or `host=basic:USER:PASSWORD`.',
    { secret: true },
  ),
  cacheMemory: setting(size, '256MB', 'Memory for blocks of remote recordings.'),
  cacheDisk: setting(size, '0', 'Disk, in the data folder, for blocks of remote recordings; 0: none.'),
  rateLimit: setting(integer(1, 10_000_000), '6000', 'Requests a minute for one token or one API key.'),
  trustProxy: setting(
    networks,
    '',
    'Addresses or networks of proxies in front whose X-Forwarded-For is believed.',
  ),
  stallTimeout: setting(
    duration('1ms', longestTimer),
    '60s',
    'How long a listener, a sender or an origin may stand still before it is cut off.',
  ),
  drainTimeout: setting(duration('0s', longestTimer), '30s', 'How long streams may go on after SIGTERM.'),
  workers: setting(workers, '1', 'Processes that serve; `auto` takes one for each core.'),
  hubspotAppId: setting(text, '', 'Your HubSpot app’s id, a number.'),
  hubspotClientId: setting(text, '', 'OAuth client id of your HubSpot app.'),
  hubspotClientSecret: setting(text, '', 'OAuth client secret; also checks HubSpot’s signatures.', {
    secret: true,
  }),
  hubspotAccessToken: setting(
    text,
    '',
    'A single access token that serves one HubSpot account without OAuth.',
    {
      secret: true,
    },
  ),
  hubspotDeveloperKey: setting(
    text,
    '',
    'Legacy developer API key, sent as `hapikey` when the URL is registered.',
    {
      secret: true,
    },
  ),
  hubspotApiBase: setting(baseUrl, 'https://api.hubapi.com', 'Where HubSpot’s API is.'),
  hubspotApiVersion: setting(
    oneOf(...apiVersions),
    apiVersions[0]!,
    'Which generation of HubSpot’s paths is spoken.',
  ),
  logLevel: setting(
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'info',
    'Least severe level that is logged.',
  ),
};

export type SettingKey = keyof typeof settings;
export type Config = { readonly [K in SettingKey]: ReturnType<(typeof settings)[K]['kind']['parse']> };

export function variableOf(key: string): string {
  return `PLAYHEAD_${key.replace(/[A-Z]/g, '_$&').toUpperCase()}`;
}

export function flagOf(key: string): string {
  return variableOf(key).slice('PLAYHEAD_'.length).toLowerCase().replaceAll('_', '-');
}

/** The variables of a `.env` file, or none where there is no such file. */
function readDotEnv(path: string): NodeJS.ProcessEnv {
  let content: string;
  try {
    content = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new ConfigError(`The file ${path} cannot be read: ${(error as Error).message}.`);
  }
  return parseEnv(content) as NodeJS.ProcessEnv;
}

/**
 * Reads every setting: flags over environment over `.env` in the working folder.
 *
 * @param flags by flag name without dashes, such as `data-dir`
 * @throws ConfigError one sentence that names the variable, or the flag where the value came from one
 */
export function readConfig(flags: Record<string, string | undefined> = {}, env = process.env): Config {
  const dotEnv = readDotEnv('.env');
  const known = new Set(Object.keys(settings).map(variableOf));
  const stranger = [...Object.keys(env), ...Object.keys(dotEnv)].find(
    (name) => name.startsWith('PLAYHEAD_') && !name.startsWith('PLAYHEAD_TEST_') && !known.has(name),
  );
  if (stranger) throw new ConfigError(`${stranger} is not a setting; docs/configuration.md lists them all.`);

  const entries = Object.entries(settings).map(([key, { kind, default: initial }]) => {
    const variable = variableOf(key);
    const fromFlag = flags[flagOf(key)];
    const value = fromFlag ?? env[variable] ?? dotEnv[variable] ?? initial;
    try {
      return [key, kind.parse(value)];
    } catch (error) {
      const name = fromFlag === undefined ? variable : `--${flagOf(key)}`;
      throw new ConfigError(`${name} ${(error as Error).message}.`);
    }
  });
  return complete(Object.fromEntries(entries) as Config);
}

/** Fills in the defaults that depend on other settings. */
function complete(config: Config): Config {
  const dataDir = resolve(config.dataDir);
  const host = config.host.includes(':')
    ? `[${config.host}]`
    : config.host.replace(/^0\.0\.0\.0$/, '127.0.0.1');
  if (config.retrieveAuth.includes('signature') && config.hubspotClientSecret === '') {
    throw new ConfigError(
      'PLAYHEAD_HUBSPOT_CLIENT_SECRET is missing: PLAYHEAD_RETRIEVE_AUTH asks for signatures.',
    );
  }
  return {
    ...config,
    dataDir,
    // With port 0 only the listening server knows its URL.
    publicUrl: config.publicUrl || (config.port === 0 ? '' : `http://${host}:${config.port}`),
    databaseUrl: config.databaseUrl || `sqlite:${join(dataDir, 'playhead.db')}`,
    store: config.store || `file:${pathToFileURL(join(dataDir, 'recordings')).pathname}`,
  };
}
