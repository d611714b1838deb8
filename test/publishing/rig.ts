import type { Report } from '../../src/audio/report.ts';
import { Changes } from '../../src/db/changes.ts';
import { openDatabase } from '../../src/db/open.ts';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { type AccountLimits, accountLimits } from '../../src/hubspot/limiter.ts';
import { createMetrics } from '../../src/metrics.ts';
import { Outbox, type OutboxOptions } from '../../src/publishing/outbox.ts';
import { Publications } from '../../src/publishing/publications.ts';
import { Publisher, type PublisherOptions } from '../../src/publishing/publisher.ts';
import { type AcceptedRecording, type CallData, Catalog } from '../../src/recordings/catalog.ts';
import type { Verdict } from '../../src/unions.ts';

export interface PublishingOptions {
  /** The sandbox's URL. */
  apiBase: string;
  deadlineMs?: number;
  /** Of each account; left out: HubSpot's. */
  limits?: () => AccountLimits;
  outbox?: OutboxOptions;
  publisher?: Partial<PublisherOptions>;
}

/** All that publishes, on a database of its own or one shared with another process. */
export async function openPublishing(databaseUrl: string, options: PublishingOptions) {
  const db = await openDatabase(databaseUrl);
  const changes = await Changes.open(db);
  const catalog = new Catalog(db, changes);
  const outbox = new Outbox(db, options.outbox);
  const publications = new Publications(db, outbox);
  const clients = new Map<string, HubSpotClient>();
  const publisher = new Publisher({
    catalog,
    outbox,
    publications,
    appId: '101',
    metrics: createMetrics(),
    pollMs: 20,
    // Of each account the sandbox knows the token `token-<account>`.
    async clientFor(accountId) {
      const client =
        clients.get(accountId) ??
        new HubSpotClient({
          portal: accountId,
          apiBase: options.apiBase,
          apiVersion: '2026-03',
          appId: '101',
          accessToken: async () => `token-${accountId}`,
          limits: (options.limits ?? accountLimits)(),
          deadlineMs: options.deadlineMs ?? 1_000,
        });
      clients.set(accountId, client);
      return client;
    },
    ...options.publisher,
  });
  async function close(): Promise<void> {
    await publisher.stop();
    await changes.close();
    await db.close();
  }
  return { db, catalog, outbox, publications, publisher, close };
}

export function reportOf(verdict: Verdict): Report {
  const codes: Report['codes'] = verdict === 'pass' ? [] : ['mono'];
  return { verdict, codes, audio: { size: 1000, durationSeconds: 60 }, evidence: [], repairs: {} };
}

/** A recording by reference, so that no audio is needed. */
export function recordingOf(
  externalId: string,
  more: { accountId?: string; verdict?: Verdict; call?: CallData | null; audio?: string } = {},
): AcceptedRecording {
  const { accountId = 'acme', verdict = 'pass', audio = 'one' } = more;
  const associations = [{ objectType: 'contacts', objectId: '104901', associationTypeId: 194 }];
  return {
    accountId,
    externalId,
    direction: 'inbound',
    origin: 's3',
    key: `${accountId}/${externalId}`,
    size: 1000,
    etag: `"${audio}"`,
    originEtag: `"${audio}"`,
    lastModified: new Date(0),
    sha256: null,
    container: 'wav',
    report: reportOf(verdict),
    call: more.call === undefined ? { title: externalId, startedAt: 1755866400000, associations } : more.call,
  };
}
