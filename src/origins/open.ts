import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Metrics } from '../metrics.ts';
import { type Config, ConfigError } from '../settings/config.ts';
import type { OriginName, Scheme } from '../unions.ts';
import { Buffers } from './buffers.ts';
import type { Blocks } from './cache/block.ts';
import { BlockCache } from './cache/block-cache.ts';
import { Disk } from './cache/disk.ts';
import { Memory } from './cache/memory.ts';
import { FileStore } from './file/file.ts';
import { HealingOrigin } from './healing.ts';
import { type Credential, HttpOrigin } from './http/http.ts';
import { MovingStore } from './moving.ts';
import type { Origin, Store } from './origin.ts';
import { findInFolders, keyInBucket } from './roots.ts';
import { S3Store } from './s3/s3.ts';

/** How long copying one recording from its vendor may take. */
const fetchTimeoutMs = 1_800_000;

/** How the sources of one scheme are read. */
export interface SourceReader {
  /**
   * The origin of a source, uncached, and its key there.
   *
   * @throws Problem `source_refused` if the source is not inside PLAYHEAD_SOURCE_ROOTS
   */
  locate(source: string): { origin: Origin; key: string };
  /** Fetches the whole source by one request, even if its server does not send ranges. */
  fetchWhole?(source: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** Recordings are moved from one store, which is read like `whole`, to the other. */
export interface StoreMove {
  from: Origin;
  to: Store;
}

/** Where bytes come from, by the settings. */
export interface Origins {
  /** Ingested recordings go here. */
  store: Store;
  /** The store, for reads of whole recordings: broken reads are continued, and nothing is cached. */
  whole: Origin;
  /** The store, if it is a folder. */
  folder: FileStore | undefined;
  /** The stores of a move, if recordings are being moved to the store from another one. */
  move: StoreMove | undefined;
  /** Recordings are played from these. */
  read: Record<OriginName, Origin>;
  /** Sources are looked up and copied by these. */
  sources: Record<Scheme, SourceReader>;
  /** Drops the blocks of removed audio from the cache of its origin. */
  forget(blocks: Blocks): Promise<void>;
  close(): Promise<void>;
}

/** The folder of the disk cache. */
export function blocksFolder(dataDir: string): string {
  return join(dataDir, 'blocks');
}

/** @throws ConfigError that names the setting */
export async function openOrigins(config: Config, metrics: Metrics): Promise<Origins> {
  const { stallTimeout: stallTimeoutMs, sourceRoots } = config;
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
    maxBytes: config.maxAudioSize,
    fetchTimeoutMs,
    stallTimeoutMs,
    metrics,
  });
  const folders = new Map(
    sourceRoots
      .filter((root) => !root.includes('://'))
      .map((root) => [resolve(root), new FileStore({ root, buffers })]),
  );
  const storeAt = (url: string) => {
    const [, bucket, prefix] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
    return bucket
      ? new S3Store({ ...s3Options, bucket, prefix })
      : new FileStore({ root: fileURLToPath(new URL(url)), buffers });
  };
  const target = storeAt(config.store);
  const before = config.storeBefore ? storeAt(config.storeBefore) : undefined;
  // To look for a file costs less than to ask S3.
  const store = before
    ? new MovingStore(target, before instanceof FileStore ? [before, target] : [target, before])
    : target;

  const healing = (origin: Origin) => new HealingOrigin(origin, { metrics, stallTimeoutMs });
  const healingS3 = healing(s3);
  const isRemote = target instanceof S3Store || before instanceof S3Store;
  const whole = isRemote ? healing(store) : store;
  const cached = await openCache(config, buffers, metrics);
  const read = {
    store: isRemote ? cached('store', whole) : store, // a local file is in the kernel's page cache already
    s3: cached('s3', healingS3),
    http: cached('http', healing(http)),
  };

  const web: SourceReader = {
    locate: (source) => ({ origin: http, key: new URL(source).href }),
    fetchWhole: (source, signal) => http.fetchWhole(source, signal),
  };
  const sources: Origins['sources'] = {
    'file:': { locate: (source) => findInFolders(folders, source) },
    's3:': { locate: (source) => ({ origin: healingS3, key: keyInBucket(sourceRoots, source) }) },
    'https:': web,
    'http:': web,
  };

  return {
    store,
    whole,
    folder: store instanceof FileStore ? store : undefined,
    move: before && { from: before instanceof S3Store ? healing(before) : before, to: target },
    read,
    sources,
    async forget(blocks) {
      const origin = read[blocks.origin];
      if (origin instanceof BlockCache) await origin.forget(blocks);
    },
    async close() {
      await Promise.all([target, before, s3, http, ...folders.values()].map((origin) => origin?.close()));
    },
  };
}

/** Opens the cache. Returns a function that puts it in front of an origin: all origins share its memory and disk. */
async function openCache(
  { cacheMemory, cacheDisk, dataDir, workers }: Config,
  buffers: Buffers,
  metrics: Metrics,
) {
  const memory = new Memory(cacheMemory);
  const disk = cacheDisk > 0 ? await Disk.open(blocksFolder(dataDir), cacheDisk, workers) : undefined;
  return (name: OriginName, origin: Origin) =>
    new BlockCache(origin, { name, memory, disk, buffers, metrics });
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
