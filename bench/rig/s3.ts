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
import { loadCore, untilResponding } from './machine.ts';
import { startNginx } from './nginx.ts';

/** An S3 server with the library in a public bucket. It is not part of what is measured. */
export interface S3 {
  name: string;
  endpoint: string;
  bucket: string;
  /** The requests that it has received so far; undefined if it does not count them. */
  traffic(): Traffic | undefined;
  stop(): Promise<void>;
}

export interface Traffic {
  requests: number;
  /** Sent, heads included. */
  bytes: number;
}

/** nginx with the library's files. It accepts every signature. */
export async function nginxAsS3(library: Library): Promise<S3> {
  const folder = join(library.folder, 'nginx-s3');
  const log = join(folder, 'traffic');
  const port = await freePort();
  const server = `log_format traffic '$bytes_sent';
    server { listen 127.0.0.1:${port}; root ${library.folder}; access_log ${log} traffic; }`;
  const { stop } = startNginx(folder, server, loadCore);
  const endpoint = `http://127.0.0.1:${port}`;
  await untilResponding(endpoint);
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

/** The S3 server at `endpoint`, with the usual AWS credentials. */
export async function givenS3(library: Library, endpoint: string): Promise<S3> {
  // The checksum of a stream is sent after it, in chunks, which radosgw does not accept.
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
