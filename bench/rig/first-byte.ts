import { Agent, get } from 'node:http';
import type { Serving } from './peers.ts';
import type { RangeRequest } from './workload.ts';

const connections = 4;
const timeoutMs = 30_000;

/**
 * Milliseconds from each request to the first byte of its body. A few independent listeners send one request
 * after the other for `seconds`.
 *
 * @param from index of the first request
 */
export async function firstBytes(
  { url }: Serving,
  requests: RangeRequest[],
  from: number,
  seconds: number,
): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const end = performance.now() + seconds * 1000;
  const times: number[] = [];
  let next = from;
  const listen = async () => {
    while (performance.now() < end) {
      times.push(await firstByte(url, requests[next++ % requests.length]!, agent));
    }
  };
  await Promise.all(Array.from({ length: connections }, listen));
  agent.destroy();
  return times;
}

function firstByte(url: string, { path, range }: RangeRequest, agent: Agent): Promise<number> {
  const headers = range ? { range: `bytes=${range.first}-${range.last}` } : {};
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const request = get(url + path, { agent, headers, timeout: timeoutMs }, (response) => {
      let firstMs: number;
      response.once('data', () => {
        firstMs = performance.now() - startedAt;
      });
      response.once('error', reject).once('end', () => resolve(firstMs));
    });
    request
      .once('error', reject)
      .once('timeout', () => request.destroy(new Error(`${url} does not respond`)));
  });
}
