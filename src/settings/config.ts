import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseEnv } from 'node:util';
import { apiVersions } from './hubspot-versions.ts';
import {
  apiKeys,
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
  retention,
  size,
  someOf,
  storeUrl,
  text,
  workers,
} from './kinds.ts';

/** A wrong setting. The message is one sentence that names the variable. The command ends with exit code 64. */
export class ConfigError extends Error {}

interface Setting<T> {
  kind: Kind<T>;
  default: string;
  /** Printed in docs/configuration.md. */
  description: string;
  secret?: true;
}

function setting<T>(
  kind: Kind<T>,
  initial: string,
  description: string,
  more?: { secret: true },
): Setting<T> {
  return { kind, default: initial, description, ...more };
}

const secret = { secret: true } as const;

/**
 * Every setting, once. The variable and the flag follow from the key:
 * `dataDir` is `PLAYHEAD_DATA_DIR` and `--data-dir`.
 */
export const settings = {
  host: setting(nonEmpty, '127.0.0.1', 'Address to listen on.'),
  port: setting(integer(0, 65535), '8080', 'Port to listen on. 0 takes any free port.'),
  publicUrl: setting(
    baseUrl,
    '',
    'URL at which HubSpot and players reach this gateway. If empty, `http://HOST:PORT`. `playhead register` needs `https://`.',
  ),
  dataDir: setting(nonEmpty, './data', 'Folder for the database, the recordings and the generated keys.'),
  databaseUrl: setting(databaseUrl, '', 'Database. If empty, an SQLite file in the data folder.', secret),
  store: setting(
    storeUrl,
    '',
    'Store of the ingested recordings. If empty, the folder `recordings` in the data folder.',
  ),
  storeBefore: setting(
    storeUrl,
    '',
    'Store that recordings are moved from by `playhead move-store`. Each recording is read from where it is.',
  ),
  s3Endpoint: setting(baseUrl, '', 'S3 endpoint. Servers other than AWS need it.'),
  s3Region: setting(
    text,
    '',
    'S3 region. If empty, the region of the AWS credential chain; if that has none, `us-east-1`.',
  ),
  s3ForcePathStyle: setting(
    flag,
    'false',
    'Whether buckets are addressed by path. Most S3 servers other than AWS need it.',
  ),
  redisUrl: setting(
    redisUrl,
    '',
    'Redis that counts rate limits for all replicas. If empty, each process counts for itself.',
    secret,
  ),
  apiKeys: setting(
    apiKeys,
    '',
    'API keys for `/v1`. If empty, the first start generates one and writes it to the file `api-key` in the data folder.',
    secret,
  ),
  secretKey: setting(
    text,
    '',
    'Key that encrypts the secrets in the database: 32 bytes as 43 base64url characters. If empty, the first start generates one and writes it to the file `secret-key` in the data folder. While the key is rotated: the new key and the old one, separated by a comma.',
    secret,
  ),
  tokenTtl: setting(duration('1ms', '3650d'), '8h', 'How long an authenticated URL is valid.'),
  retrieveAuth: setting(
    someOf('key', 'signature', 'open'),
    'key',
    'How HubSpot authenticates when it requests a URL: by the access `key` in the path, by HubSpot’s `signature`, or not at all (`open`). If several are listed, any of them is enough.',
  ),
  channelPolicy: setting(
    oneOf('strict', 'lenient'),
    'strict',
    'What happens if nothing proves which channel is the caller’s: `strict` rejects the audio, `lenient` accepts it with a warning.',
  ),
  maxAudioSize: setting(size, '2GB', 'Largest audio that is accepted.'),
  retention: setting(
    retention,
    '0',
    'How long recordings are kept, with all that is known of their calls, counted from their ingest. Then they are erased. `playhead retention` sets another duration for one account.',
  ),
  sourceRoots: setting(
    list,
    '',
    'Folders and buckets (`s3://bucket/prefix`) that sources may be read from. If empty, every `file:` and `s3:` source is denied.',
  ),
  sourceHosts: setting(
    list,
    '',
    'Hosts, such as `pbx.example:8080`, from which a source may be read over plain http and at a private address. An entry without a port means the default port. All other hosts must be public and use https on port 443.',
  ),
  sourceCredentials: setting(
    list,
    '',
    'Credentials for sources: `host=bearer:TOKEN` or `host=basic:USER:PASSWORD`. Each is sent to its own host only.',
    secret,
  ),
  cacheMemory: setting(size, '256MB', 'Memory for cached blocks of remote recordings.'),
  cacheDisk: setting(
    size,
    '0',
    'Disk space in the data folder for cached blocks of remote recordings. 0 turns the disk cache off.',
  ),
  scrubRate: setting(
    size,
    '1MB',
    'Bytes a second of stored recordings that are read in the background and compared with their SHA-256. Each recording is read once a week at most. 0 turns this off.',
  ),
  rateLimit: setting(integer(1, 10_000_000), '6000', 'Requests per minute for one token or one API key.'),
  accountRateLimit: setting(
    integer(1, 10_000_000),
    '60000',
    'Requests per minute for one account of the phone system, by all of its tokens and keys together.',
  ),
  trustProxy: setting(
    networks,
    '',
    'Addresses or networks of proxies in front of the gateway. Their X-Forwarded-For header is trusted.',
  ),
  stallTimeout: setting(
    duration('1ms', longestTimer),
    '60s',
    'How long a listener, a sender or an origin may make no progress before it is disconnected.',
  ),
  drainTimeout: setting(duration('0s', longestTimer), '30s', 'How long streams may continue after SIGTERM.'),
  workers: setting(workers, '1', 'Number of serving processes. `auto` starts one for each core.'),
  hubspotAppId: setting(text, '', 'Id of your HubSpot app, a number. If empty, nothing is published.'),
  hubspotClientId: setting(text, '', 'OAuth client id of your HubSpot app.'),
  hubspotClientSecret: setting(
    text,
    '',
    'OAuth client secret of your HubSpot app. It also verifies HubSpot’s signatures.',
    secret,
  ),
  hubspotAccessToken: setting(
    text,
    '',
    'Access token of one HubSpot account, for use without OAuth.',
    secret,
  ),
  hubspotDeveloperKey: setting(
    text,
    '',
    'Legacy developer API key. `playhead register` sends it as `hapikey`.',
    secret,
  ),
  hubspotApiBase: setting(baseUrl, 'https://api.hubapi.com', 'Base URL of HubSpot’s API.'),
  hubspotApiVersion: setting(oneOf(...apiVersions), apiVersions[0]!, 'Version of HubSpot’s API paths.'),
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

/** The folders in which programs are looked for, as the system lists them. */
export function searchPath(): string {
  return process.env.PATH ?? '';
}

/** The variables of a `.env` file; none if there is no such file. */
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
 * Reads every setting. Flags override the environment. The environment overrides `.env` in the working folder.
 *
 * @param flags by flag name without dashes, such as `data-dir`
 * @throws ConfigError that names the variable, or the flag if the value came from a flag
 */
export function readConfig(flags: Record<string, string | undefined> = {}, env = process.env): Config {
  const dotEnv = readDotEnv('.env');
  const known = new Set(Object.keys(settings).map(variableOf));
  const unknown = [...Object.keys(env), ...Object.keys(dotEnv)].find(
    (name) => name.startsWith('PLAYHEAD_') && !name.startsWith('PLAYHEAD_TEST_') && !known.has(name),
  );
  if (unknown) throw new ConfigError(`${unknown} is not a setting; docs/configuration.md lists them all.`);

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
  const config = Object.fromEntries(entries) as Config;
  if (config.retrieveAuth.includes('signature') && config.hubspotClientSecret === '') {
    throw new ConfigError(
      'PLAYHEAD_HUBSPOT_CLIENT_SECRET is missing: PLAYHEAD_RETRIEVE_AUTH lists signature, which needs it.',
    );
  }
  const complete = withDependentDefaults(config);
  if (complete.store === complete.storeBefore) {
    throw new ConfigError(
      'PLAYHEAD_STORE_BEFORE must not be PLAYHEAD_STORE: it names the store before that.',
    );
  }
  return complete;
}

/** Fills in the defaults that depend on other settings. */
function withDependentDefaults(config: Config): Config {
  const dataDir = resolve(config.dataDir);
  // These two mean every address; a URL needs one.
  const host = config.host.replace(/^0\.0\.0\.0$/, '127.0.0.1').replace(/^::$/, '::1');
  const urlHost = host.includes(':') ? `[${host}]` : host;
  return {
    ...config,
    dataDir,
    // With port 0, only the listening server knows its port.
    publicUrl: config.publicUrl || (config.port === 0 ? '' : `http://${urlHost}:${config.port}`),
    databaseUrl: config.databaseUrl || `sqlite:${join(dataDir, 'playhead.db')}`,
    store: config.store || `file:${pathToFileURL(join(dataDir, 'recordings')).pathname}`,
  };
}
