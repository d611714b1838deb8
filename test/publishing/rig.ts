import type { Report } from '../../src/audio/report.ts';
import type { CallData } from '../../src/crm/call.ts';
import type { Crm } from '../../src/crm/crm.ts';
import { Changes } from '../../src/db/changes.ts';
import { Leases } from '../../src/db/leases.ts';
import { openDatabase } from '../../src/db/open.ts';
import { HubSpotClient } from '../../src/hubspot/client.ts';
import { HubSpotCrm } from '../../src/hubspot/crm.ts';
import { type PortalLimits, portalLimits } from '../../src/hubspot/limiter.ts';
import { createMetrics } from '../../src/metrics.ts';
import { Dispatcher } from '../../src/publishing/dispatcher.ts';
import { Outbox, type OutboxOptions } from '../../src/publishing/outbox.ts';
import { Publications } from '../../src/publishing/publications.ts';
import { Publisher } from '../../src/publishing/publisher.ts';
import { Catalog } from '../../src/recordings/catalog.ts';
import type { AcceptedRecording } from '../../src/recordings/recording.ts';
import type { Verdict } from '../../src/unions.ts';

export interface PublishingOptions {
  /** The sandbox's URL. */
  apiBase?: string;
  /** Used instead of the sandbox. */
  crm?: Crm;
  deadlineMs?: number;
  /** Rate limits of each portal. Default: HubSpot's. */
  limits?: () => PortalLimits;
  outbox?: OutboxOptions;
  leaseMs?: number;
  searchDelayMs?: number;
  pollMs?: number;
}

/** The parts that publish, on a database of their own or one shared with another process. */
export async function openPublishing(databaseUrl: string, options: PublishingOptions) {
  const db = await openDatabase(databaseUrl);
  const changes = await Changes.open(db);
  const catalog = new Catalog(db, changes);
  const outbox = new Outbox(db, options.outbox);
  const crm = options.crm ?? sandboxCrm(options);
  const publications = new Publications(db, outbox, crm);
  const publisher = new Publisher({
    catalog,
    outbox,
    publications,
    leases: new Leases(db, options.leaseMs),
    crm,
    metrics: createMetrics(),
    ...(options.searchDelayMs !== undefined && { searchDelayMs: options.searchDelayMs }),
  });
  const dispatcher = new Dispatcher({ outbox, kinds: [publisher], pollMs: options.pollMs ?? 20 });
  async function close(): Promise<void> {
    await dispatcher.stop();
    await changes.close();
    await db.close();
  }
  return { db, catalog, outbox, publications, publisher, dispatcher, close };
}

/** The sandbox as a CRM. Each account has the token `token-<account>`. */
function sandboxCrm({ apiBase = '', limits = portalLimits, deadlineMs = 1_000 }: PublishingOptions): Crm {
  const clients = new Map<string, HubSpotClient>();
  const appId = '101';
  async function clientFor(accountId: string): Promise<HubSpotClient> {
    const client =
      clients.get(accountId) ??
      new HubSpotClient({
        portal: accountId,
        apiBase,
        apiVersion: '2026-03',
        appId,
        accessToken: async () => `token-${accountId}`,
        limits: limits(),
        deadlineMs,
      });
    clients.set(accountId, client);
    return client;
  }
  return new HubSpotCrm({ clientFor }, appId);
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
