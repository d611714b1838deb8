import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { freePort } from '../../test/servers/free-port.ts';
import type { Library } from './library.ts';
import { answering, loadCore } from './machine.ts';
import { startNginx } from './nginx.ts';

/** An S3 server that holds the library in a bucket that everyone may read. It is no part of what is measured. */
export interface S3 {
  name: string;
  endpoint: string;
  bucket: string;
  /** What was asked of it so far; undefined where it does not say. */
  traffic(): Traffic | undefined;
  stop(): Promise<void>;
}

export interface Traffic {
  requests: number;
  /** Sent, heads included. */
  bytes: number;
}

/** nginx with the library's files: it takes every signature for a good one. */
export async function nginxAsS3(library: Library): Promise<S3> {
  const folder = join(library.folder, 'nginx-s3');
  const log = join(folder, 'traffic');
  const port = await freePort();
  const server = `log_format traffic '$bytes_sent';
    server { listen 127.0.0.1:${port}; root ${library.folder}; access_log ${log} traffic; }`;
  const { stop } = startNginx(folder, server, loadCore);
  const endpoint = `http://127.0.0.1:${port}`;
  await answering(endpoint);
  return {
    name: 'nginx as S3',
    endpoint,
    bucket: 'recordings',
    traffic() {
      const lines = readFileSync(log, 'utf8').split('\n').slice(0, -1);
      return { requests: lines.length, bytes: lines.reduce((sum, line) => sum + Number(line), 0) };
    },
    stop,
  };
}

/** The S3 server that `PLAYHEAD_TEST_S3_ENDPOINT` names, by the usual AWS credentials. */
export async function givenS3(library: Library, endpoint: string): Promise<S3> {
  // A checksum over a stream is sent behind it, in chunks, which radosgw does not take.
  const requestChecksumCalculation = 'WHEN_REQUIRED';
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation,
  });
  const bucket = `playhead-bench-${process.pid}`;
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  for (const Key of library.names) {
    const Body = createReadStream(join(library.recordings, Key));
    await client.send(
      new PutObjectCommand({ Bucket: bucket, Key, Body, ContentLength: library.size, ACL: 'public-read' }),
    );
  }
  return {
    name: 'radosgw',
    endpoint,
    bucket,
    traffic: () => undefined,
    async stop() {
      for (const Key of library.names) await client.send(new DeleteObjectCommand({ Bucket: bucket, Key }));
      await client.send(new DeleteBucketCommand({ Bucket: bucket }));
      client.destroy();
    },
  };
}
