import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { ApiKeys } from './access/api-keys.ts';
import { Tokens } from './access/tokens.ts';
import { Vault } from './access/vault.ts';
import { CheckPool } from './audio/process/pool.ts';
import { Changes } from './db/changes.ts';
import { Leases } from './db/leases.ts';
import { openDatabase } from './db/open.ts';
import { connectHubSpot } from './hubspot/connect.ts';
import { Ingest } from './ingest/ingest.ts';
import { Sources } from './ingest/sources.ts';
import { StoredAudio } from './ingest/stored-audio.ts';
import { Background } from './maintenance/background.ts';
import { ErasedBlocks } from './maintenance/erased-blocks.ts';
import { retention } from './maintenance/retention.ts';
import { scrub } from './maintenance/scrub.ts';
import { jobSweep, recordingSweep } from './maintenance/sweeps.ts';
import { createMetrics } from './metrics.ts';
import { blocksFolder, openOrigins } from './origins/open.ts';
import { Dispatcher } from './publishing/dispatcher.ts';
import { Outbox } from './publishing/outbox.ts';
import { Publications } from './publishing/publications.ts';
import { Publisher } from './publishing/publisher.ts';
import { Catalog } from './recordings/catalog.ts';
import { Holds } from './recordings/holds.ts';
import { RecordedAudio } from './recordings/recorded-audio.ts';
import { RetentionRules } from './recordings/retention-rules.ts';
import { StoreKeys } from './recordings/store-keys.ts';
import { requireStores } from './recordings/store-moves.ts';
import type { Config } from './settings/config.ts';
import { prepareFolder } from './settings/folders.ts';

export type Parts = Awaited<ReturnType<typeof openParts>>;

/**
 * Builds each part of the gateway once and hands it what it uses. The server starts here, and so do the
 * commands that need no server.
 *
 * @throws ConfigError if a value of a setting cannot be used, Problem `database_unavailable`
 */
export async function openParts(config: Config) {
  await prepareFolders(config);
  // Headers hold keys, and some libraries log them at trace level.
  const log = pino({ level: config.logLevel, redact: ['*.headers', '*.*.headers'] });
  const metrics = createMetrics();
  const db = await openDatabase(config.databaseUrl);
  await requireStores(db.kysely, config);
  const changes = await Changes.open(db);
  const vault = await Vault.open({ db, config });
  const hubspot = connectHubSpot({ config, db, vault });
  const { crm } = hubspot;
  const outbox = new Outbox(db);
  const publications = new Publications(db, outbox, crm);
  const catalog = new Catalog(db, changes, [publications]);
  const storeKeys = new StoreKeys(db.kysely);
  const tokens = await Tokens.open({ db, vault, changes, ttlMs: config.tokenTtl });
  const apiKeys = await ApiKeys.open({ db, vault, changes, config });
  const erasedBlocks = config.cacheDisk > 0 ? await ErasedBlocks.open(changes, config.dataDir) : undefined;
  const origins = await openOrigins(config, metrics);
  // Each serving process gets its share of the cores for checks.
  const checkPool = new CheckPool({ workers: Math.ceil(availableParallelism() / config.workers) });
  const { store, forget } = origins;
  changes.on('audio', (subject) => forget(JSON.parse(subject)));
  await erasedBlocks?.start(forget);
  const recordedAudio = new RecordedAudio({
    catalog,
    changes,
    origins: origins.read,
    whole: origins.whole,
    metrics,
  });
  const leases = new Leases(db);
  const publisher = new Publisher({ catalog, outbox, publications, leases, crm, metrics });
  const dispatcher = new Dispatcher({ outbox, kinds: [publisher], log });
  const maxAudioBytes = config.maxAudioSize;
  const storedAudio = new StoredAudio({ store, storeKeys, forget, maxAudioBytes });
  const holds = new Holds(db);
  const retentionRules = new RetentionRules(db, config.retention);
  const ingest = new Ingest({
    catalog,
    whole: origins.whole,
    storedAudio,
    holds,
    origins: origins.read,
    recordedAudio,
    checkPool,
    tokens,
    publisher,
    outbox,
    crm,
    db,
    metrics,
    channelPolicy: config.channelPolicy,
    maxAudioBytes,
  });
  const sources = new Sources(origins.sources);
  const removeExpiredAudio = {
    name: 'remove expired audio',
    // Audio that a crash left behind expires after 30 s (stored-audio.ts), so a restart removes it within a minute.
    everyMs: 30_000,
    run: async () => void (await storedAudio.removeExpired()),
  };
  const scrubbing =
    config.scrubRate > 0 ? [scrub({ db, recordedAudio, bytesPerSecond: config.scrubRate, log })] : [];
  const sweeps = [recordingSweep(db, ingest, retentionRules), jobSweep(db)];
  const keeping = retention({ db, rules: retentionRules, sweeps, metrics, log });
  const background = new Background({ tasks: [removeExpiredAudio, ...scrubbing, keeping], leases, log });

  return {
    config,
    log,
    metrics,
    /** The text of `/metrics`. */
    metricsPage: () => metrics.registry.metrics(),
    db,
    changes,
    catalog,
    tokens,
    apiKeys,
    origins: origins.read,
    recordedAudio,
    wholeAudio: origins.whole,
    storeFolder: origins.folder,
    storeMove: origins.move,
    storeKeys,
    checkPool,
    hubspot,
    outbox,
    publisher,
    dispatcher,
    background,
    storedAudio,
    ingest,
    holds,
    retentionRules,
    sources,
    async close() {
      await Promise.all([dispatcher.stop(), background.stop()]);
      await erasedBlocks?.stop();
      await checkPool.close();
      await origins.close();
      await changes.close();
      await db.close();
    },
  };
}

/** Comes before everything else: a start that fails leaves neither keys nor a database. sqlite.ts has its own folder. */
async function prepareFolders({ dataDir, store, cacheDisk }: Config): Promise<void> {
  await prepareFolder('dataDir', dataDir);
  if (store.startsWith('file:')) await prepareFolder('store', fileURLToPath(store));
  if (cacheDisk > 0) await prepareFolder('cacheDisk', blocksFolder(dataDir));
}
