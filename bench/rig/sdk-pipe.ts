import { createServer } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';

/** As most Node services do it: pipes the body of GetObject to the response. Usage: sdk-pipe.ts ENDPOINT BUCKET PORT */
const [endpoint, Bucket, port] = process.argv.slice(2);
const client = new S3Client({ endpoint: endpoint!, region: 'us-east-1', forcePathStyle: true });
const server = createServer(async (request, response) => {
  const left = new AbortController(); // without it, each closed connection keeps one of the SDK's 50 sockets
  response.once('close', () => left.abort());
  try {
    const command = new GetObjectCommand({
      Bucket,
      Key: request.url!.slice(1),
      Range: request.headers.range,
    });
    const object = await client.send(command, { abortSignal: left.signal });
    response.writeHead(object.ContentRange ? 206 : 200, {
      'content-type': 'application/octet-stream',
      'content-length': object.ContentLength,
      ...(object.ContentRange && { 'content-range': object.ContentRange }),
      etag: object.ETag,
    });
    await pipeline(object.Body as Readable, response, { signal: left.signal });
  } catch {
    response.destroy();
  }
});
server.listen(Number(port), '127.0.0.1');
