import { connect } from 'node:net';

export interface RawResponse {
  status: number;
  /** As received, with names in lower case. */
  headers: Record<string, string>;
  body: Buffer;
}

/**
 * Sends one request over a socket of its own, exactly as given: no client adds, drops or changes a header.
 * Reads until the server closes, as `connection: close` requests.
 */
export function rawRequest(
  url: string,
  {
    method = 'GET',
    target,
    headers = {},
  }: { method?: string; target?: string; headers?: Record<string, string | string[]> } = {},
): Promise<RawResponse> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const lines = Object.entries({ host, connection: 'close', ...headers }).flatMap(([name, values]) =>
    [values].flat().map((value) => `${name}: ${value}`),
  );
  const { promise, resolve, reject } = Promise.withResolvers<RawResponse>();
  const chunks: Buffer[] = [];
  const socket = connect(Number(port), hostname)
    .on('connect', () => {
      socket.write(
        [`${method} ${target ?? pathname + search} HTTP/1.1`, ...lines, '', ''].join('\r\n'),
        'latin1',
      );
    })
    .on('data', (chunk: Buffer) => chunks.push(chunk))
    .on('error', reject)
    .on('close', () => {
      const all = Buffer.concat(chunks);
      const end = all.indexOf('\r\n\r\n');
      if (end < 0) return reject(new Error('The response has no complete head.'));
      const [statusLine = '', ...fields] = all.subarray(0, end).toString('latin1').split('\r\n');
      const named = fields.map((field) => {
        const colon = field.indexOf(':');
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      });
      resolve({
        status: Number(statusLine.split(' ')[1]),
        headers: Object.fromEntries(named),
        body: all.subarray(end + 4),
      });
    });
  return promise;
}
