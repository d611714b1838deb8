import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Metrics } from '../metrics.ts';
import { type Config, ConfigError } from '../settings/config.ts';
import type { OriginName, Scheme } from '../unions.ts';
import { Buffers } from './buffers.ts';
import { BlockCache } from './cache/block-cache.ts';
import { Disk } from './cache/disk.ts';
import { Memory } from './cache/memory.ts';
import { FileStore } from './file/file.ts';
import { HealingOrigin } from './healing.ts';
import { type Credential, HttpOrigin } from './http/http.ts';
import type { Origin, Store, Version } from './origin.ts';
import { findFolder, keyInBucket } from './roots.ts';
import { S3Store } from './s3/s3.ts';

/** The longest that copying one recording from its vendor may take. */
const fetchTimeoutMs = 1_800_000;

/** How the sources of one scheme are read. */
export interface SourceReader {
  /**
   * The origin of a source, uncached, and the key of the source there.
   *
   * @throws Problem `source_refused` if it is not inside one of PLAYHEAD_SOURCE_ROOTS
   */
  locate(source: string): { origin: Origin; key: string };
  /** The whole source by one request. Only for servers that perhaps send no ranges. */
  fetchWhole?(source: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** Where bytes come from, as the settings say. */
export interface Origins {
  /** Where ingested recordings go. */
  store: Store;
  /** What recordings are read through, by where they are. */
  read: Record<OriginName, Origin>;
  /** What recordings are copied from, and found by. */
  sources: Record<Scheme, SourceReader>;
  /** Drops what the caches hold of a recording that was removed. */
  forget(name: OriginName, key: string, version: Version): Promise<void>;
  close(): Promise<void>;
}

/** Where the disk cache lies. */
export function blocksFolder(dataDir: string): string {
  return join(dataDir, 'blocks');
}

/** @throws ConfigError where a setting names what is not there */
export async function openOrigins(config: Config, metrics: Metrics): Promise<Origins> {
  const { stallTimeout: stallTimeoutMs, maxAudioSize, sourceRoots } = config;
  const buffers = new Buffers();
  const s3Options = {
    endpoint: config.s3Endpoint || undefined,
    region: config.s3Region || undefined,
    forcePathStyle: config.s3ForcePathStyle,
    stallTimeoutMs,
    metrics,
  };
  const s3 = new S3Store(s3Options);
  const http = new HttpOrigin({
    allowedHosts: config.sourceHosts,
    credentials: new Map(config.sourceCredentials.map(readCredential)),
    maxBytes: maxAudioSize,
    fetchTimeoutMs,
    stallTimeoutMs,
    metrics,
  });
  const folders = new Map(
    sourceRoots
      .filter((root) => !root.includes('://'))
      .map((root) => [resolve(root), new FileStore({ root, buffers })]),
  );

  const bucket = /^s3:\/\/([^/]+)\/?(.*)$/.exec(config.store);
  const store = bucket
    ? new S3Store({ ...s3Options, bucket: bucket[1]!, prefix: bucket[2]! })
    : new FileStore({ root: fileURLToPath(new URL(config.store)), buffers });

  // A local file is in the kernel's page cache already; what lies behind a network is kept here.
  const memory = new Memory(config.cacheMemory);
  const disk =
    config.cacheDisk > 0
      ? await Disk.open(blocksFolder(config.dataDir), config.cacheDisk, config.workers)
      : undefined;
  const healing = (origin: Origin) => new HealingOrigin(origin, { metrics, stallTimeoutMs });
  const cached = (name: string, origin: Origin) =>
    new BlockCache(healing(origin), { name, memory, disk, buffers, metrics });
  const read = {
    store: bucket ? cached('store', store) : store,
    s3: cached('s3', s3),
    http: cached('http', http),
  };
  const healingS3 = healing(s3);
  const web: SourceReader = {
    locate: (source) => ({ origin: http, key: new URL(source).href }),
    fetchWhole: (source, signal) => http.fetchWhole(source, signal),
  };
  const sources: Origins['sources'] = {
    'file:': {
      locate(source) {
        const [origin, key] = findFolder(folders, source);
        return { origin, key };
      },
    },
    's3:': { locate: (source) => ({ origin: healingS3, key: keyInBucket(sourceRoots, source) }) },
    'https:': web,
    'http:': web,
  };
  return {
    store,
    read,
    sources,
    async forget(name, key, version) {
      const origin = read[name];
      if (origin instanceof BlockCache) await origin.forget(key, version);
    },
    async close() {
      await Promise.all([store, s3, http, ...folders.values()].map((origin) => origin.close()));
    },
  };
}

/** `host=bearer:TOKEN` or `host=basic:USER:PASSWORD`. */
function readCredential(entry: string): [host: string, Credential] {
  const [, host, kind, secret] = /^([^=]+)=(bearer|basic):(.+)$/.exec(entry) ?? [];
  if (!host || !secret) {
    throw new ConfigError(
      'PLAYHEAD_SOURCE_CREDENTIALS must list entries such as host=bearer:TOKEN or host=basic:USER:PASSWORD.',
    );
  }
  return [host, kind === 'bearer' ? { bearer: secret } : { basic: secret }];
}
