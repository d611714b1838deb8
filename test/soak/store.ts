import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import { faultProxy } from '../servers/fault-proxy.ts';

/** Where the gateways store recordings. */
export interface Store {
  settings: Record<string, string>;
  /** Breaks every connection to the store for `ms`; undefined if the store is a folder. */
  reset: ((ms: number) => Promise<void>) | undefined;
}

/** A folder that both gateways share. */
export function folderStore(folder: string): Store {
  return { settings: { PLAYHEAD_STORE: `file:${folder}/recordings` }, reset: undefined };
}

/**
 * A bucket of its own on an S3 server, behind a proxy.
 *
 * @param closing gets the functions that remove what was created
 */
export async function s3Store(endpoint: string, closing: (() => unknown)[]): Promise<Store> {
  const { hostname, port } = new URL(endpoint);
  const teardown = { teardown: (close: () => unknown) => void closing.push(close) };
  const proxy = await faultProxy(teardown as never, { host: hostname, port: Number(port) });
  const bucket = `playhead-soak-${randomBytes(6).toString('hex')}`;
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  closing.push(() => removeBucket(client, bucket));
  return {
    settings: {
      PLAYHEAD_STORE: `s3://${bucket}/calls`,
      PLAYHEAD_S3_ENDPOINT: proxy.url,
      PLAYHEAD_S3_FORCE_PATH_STYLE: 'true',
    },
    async reset(ms) {
      proxy.down(true);
      await sleep(ms);
      proxy.down(false);
    },
  };
}

/** Removes the bucket, because an S3 server in memory would be full after a run or two. */
async function removeBucket(client: S3Client, Bucket: string): Promise<void> {
  for (;;) {
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
    if (!Contents?.length) break;
    const Objects = Contents.map(({ Key }) => ({ Key }));
    await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  }
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
  for (const { Key, UploadId } of Uploads) {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
  }
  await client.send(new DeleteBucketCommand({ Bucket }));
  client.destroy();
}
