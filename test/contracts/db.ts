import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import pg from 'pg';
import type { Test } from 'tap';
import { Tokens } from '../../src/access/tokens.ts';
import { Vault } from '../../src/access/vault.ts';
import { Changes } from '../../src/db/changes.ts';
import { type Database, openDatabase } from '../../src/db/open.ts';
import { isProblem } from '../../src/errors.ts';
import { Catalog, type PutResult } from '../../src/recordings/catalog.ts';
import type { AcceptedRecording } from '../../src/recordings/recording.ts';
import { StoreKeys } from '../../src/recordings/store-keys.ts';
import { freshFolder } from '../files.ts';
import { type FaultProxy, faultProxy } from '../servers/fault-proxy.ts';

/** A new database. It can be opened any number of times, as by the workers of a gateway. */
export interface Place {
  url: string;
  /** Closed when the test ends. */
  open(): Promise<Database>;
  /** Another new database of the same engine. Closed when the test ends. */
  fresh(): Promise<Database>;
  /** Opens it with the parts that use it, as one process does. Closed when the test ends. */
  worker(options?: { pollMs?: number; ttlMs?: number; now?: () => number }): Promise<Worker>;
  /** The same database through a proxy that can break its connections. Postgres only. */
  proxied(): Promise<Place & { proxy: FaultProxy }>;
}

export interface Worker {
  db: Database;
  changes: Changes;
  vault: Vault;
  catalog: Catalog;
  storeKeys: StoreKeys;
  tokens: Tokens;
}

const server = process.env.PLAYHEAD_TEST_POSTGRES_URL;

/** Runs the same test on SQLite and on Postgres. */
export async function eachEngine(t: Test, name: string, body: (t: Test, place: Place) => Promise<void>) {
  await t.test(`${name} (sqlite)`, async (t) => {
    await body(t, placeAt(t, `sqlite:${join(await freshFolder(t), 'playhead.db')}`));
  });
  await onPostgres(t, name, body);
}

export async function onPostgres(t: Test, name: string, body: (t: Test, place: Place) => Promise<void>) {
  const skip = server === undefined && 'PLAYHEAD_TEST_POSTGRES_URL is not set (test/servers/postgres.sh)';
  await t.test(`${name} (postgres)`, { skip }, async (t) => {
    await body(t, placeAt(t, await freshPostgres(t, server!)));
  });
}

/** A new database on the server at `url`. Dropped when the test ends. */
export async function freshPostgres(t: Test, url: string): Promise<string> {
  const name = `playhead_${randomBytes(6).toString('hex')}`;
  const run = async (statement: string) => {
    const client = new pg.Client(url);
    await client.connect();
    await client.query(statement).finally(() => client.end());
  };
  await run(`create database ${name}`);
  t.teardown(() => run(`drop database ${name} with (force)`));
  const fresh = new URL(url);
  fresh.pathname = name;
  return fresh.href;
}

function placeAt(t: Test, url: string, secretKey = randomBytes(32).toString('base64url')): Place {
  const open = async () => {
    const db = await openDatabase(url);
    t.teardown(() => db.close());
    return db;
  };
  return {
    url,
    open,
    async fresh() {
      const isPostgres = url.startsWith('postgres');
      const other = isPostgres
        ? await freshPostgres(t, url)
        : `sqlite:${join(await freshFolder(t), 'playhead.db')}`;
      return placeAt(t, other).open();
    },
    async worker({ pollMs = 20, ttlMs = 3_600_000, now = Date.now } = {}) {
      const db = await openDatabase(url);
      const changes = await Changes.open(db, pollMs);
      t.teardown(async () => {
        await changes.close();
        await db.close();
      });
      const vault = await Vault.open({ db, config: { secretKey, dataDir: '' } });
      const catalog = new Catalog(db, changes);
      const storeKeys = new StoreKeys(db.kysely);
      const tokens = await Tokens.open({ db, vault, changes, ttlMs, now });
      return { db, changes, vault, catalog, storeKeys, tokens };
    },
    async proxied() {
      const through = new URL(url);
      const proxy = await faultProxy(t, { host: through.hostname, port: Number(through.port) });
      through.host = `${proxy.host}:${proxy.port}`;
      return { ...placeAt(t, through.href, secretKey), proxy };
    },
  };
}

let keys = 0;

/** A recording that passes the check, with its own store key. */
export function recording(more: Partial<AcceptedRecording> = {}): AcceptedRecording {
  return {
    accountId: 'acme',
    externalId: 'call-1',
    direction: 'inbound',
    origin: 'store',
    key: `key-${++keys}`,
    size: 480_044,
    etag: '"a"',
    originEtag: '"origin-a"',
    lastModified: new Date('2026-11-01T10:00:00.123Z'),
    sha256: 'a',
    container: 'wav',
    report: { verdict: 'pass', codes: [], audio: { size: 480_044 }, evidence: [], repairs: {} },
    call: { title: 'Über \u0000 uns', startedAt: 1_790_000_000_000 },
    ...more,
  };
}

export const failing: AcceptedRecording['report'] = { ...recording().report, verdict: 'fail' };

/** Like ingest: records the store key first, then puts the recording. */
export async function put(
  { catalog, storeKeys }: Worker,
  input: AcceptedRecording,
  replace = false,
): Promise<PutResult> {
  if (input.origin === 'store') await storeKeys.add(input.key, 60_000);
  return catalog.put(input, { replace });
}

/** The outcome, or the code of the Problem. */
export function outcomeOf(attempt: Promise<PutResult>): Promise<string> {
  return attempt.then(
    ({ outcome }) => outcome,
    (error) => (isProblem(error) ? error.code : Promise.reject(error)),
  );
}
