import { type ChildProcess, execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, DeleteBucketCommand, S3Client } from '@aws-sdk/client-s3';
import type { Test } from 'tap';
import type { Ended } from '../commands/playhead.ts';
import { freshPostgres } from '../contracts/db.ts';
import { freshFolder } from '../files.ts';
import { startGateway } from '../gateway.ts';

const { PATH, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = process.env;
const postgres = process.env.PLAYHEAD_TEST_POSTGRES_URL;
const s3 = process.env.PLAYHEAD_TEST_S3_ENDPOINT;

export type Settings = Record<string, string> & { 'data-dir': string };

export interface Kind {
  name: string;
  skip: string | false;
  /** The settings of a new gateway: an empty data folder, database and store. */
  fresh(t: Test): Promise<Settings>;
}

const onFolder: Kind = {
  name: 'SQLite and a folder',
  skip: false,
  fresh: async (t) => ({ 'data-dir': await freshFolder(t) }),
};

const onPostgres: Kind = {
  name: 'Postgres and a folder',
  skip: postgres ? false : 'PLAYHEAD_TEST_POSTGRES_URL is not set (test/servers/postgres.sh)',
  fresh: async (t) => ({
    'data-dir': await freshFolder(t),
    'database-url': await freshPostgres(t, postgres!),
  }),
};

const onS3: Kind = {
  name: 'SQLite and S3',
  skip: s3 ? false : 'PLAYHEAD_TEST_S3_ENDPOINT is not set',
  fresh: async (t) => ({ 'data-dir': await freshFolder(t), ...(await freshBucket(t)) }),
};

export const kinds = { onFolder, onPostgres, onS3 };

/** A store in a new bucket, and the settings that lead to it. The teardown removes the bucket if it is empty. */
export async function freshBucket(t: Test) {
  const client = new S3Client({ endpoint: s3!, region: 'us-east-1', forcePathStyle: true });
  const Bucket = `playhead-site-${randomBytes(6).toString('hex')}`;
  await client.send(new CreateBucketCommand({ Bucket }));
  t.teardown(async () => {
    await client.send(new DeleteBucketCommand({ Bucket })).catch(() => {});
    client.destroy();
  });
  return { store: `s3://${Bucket}/calls`, 's3-endpoint': s3!, 's3-force-path-style': 'true' };
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
}

/** Starts a command of the command line with settings. */
export function start(settings: Record<string, string>, ...args: string[]): Running {
  const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  const env = { PATH, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY };
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const child = execFile(
    process.execPath,
    ['src/cli.ts', ...args, ...flags],
    { env, maxBuffer: 64 * 1024 * 1024 },
    (error, stdout, stderr) => resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr }),
  );
  return { child, ended: promise };
}

/** Runs a command to its end. */
export function run(settings: Record<string, string>, ...args: string[]): Promise<Ended> {
  return start(settings, ...args).ended;
}

/** What an operator does by hand after a restore. */
export function copySecretKey(from: Settings, to: Settings): Promise<void> {
  return copyFile(join(from['data-dir'], 'secret-key'), join(to['data-dir'], 'secret-key'));
}

/** The body of a stream. */
export async function bodyOf(url: string): Promise<Buffer> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return Buffer.from(await response.arrayBuffer());
}

/** Restores a backup into a new place of this kind, and starts a gateway there. */
export async function restored(t: Test, kind: Kind, from: Settings, folder: string) {
  const settings = await kind.fresh(t);
  await copySecretKey(from, settings);
  const { code, stdout, stderr } = await run(settings, 'restore', '--from', folder);
  t.equal(code, 0, stderr);
  return { settings, stdout, gateway: await startGateway(t, settings) };
}

/** The stream URL of a recording of the account `acct`. */
export async function urlOf(
  gateway: { v1(path: string, init: RequestInit): Promise<Response> },
  id: string,
): Promise<string> {
  const response = await gateway.v1(`/recordings/acct/${encodeURIComponent(id)}/url`, { method: 'POST' });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return ((await response.json()) as { authenticatedUrl: string }).authenticatedUrl;
}
