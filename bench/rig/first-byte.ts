import { Agent, get } from 'node:http';
import type { Serving } from './peers.ts';
import type { Ask } from './workload.ts';

const connections = 4;
const patienceMs = 30_000;

/**
 * Milliseconds from a request to the first byte of its body, for as many requests as a few listeners that
 * wait for each other's answers to none send in `seconds`.
 *
 * @param from how many of `asks` to pass over at first
 */
export async function firstBytes(
  { url }: Serving,
  asks: Ask[],
  from: number,
  seconds: number,
): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const until = performance.now() + seconds * 1000;
  const times: number[] = [];
  let at = from;
  const listen = async () => {
    while (performance.now() < until) times.push(await firstByte(url, asks[at++ % asks.length]!, agent));
  };
  await Promise.all(Array.from({ length: connections }, listen));
  agent.destroy();
  return times;
}

function firstByte(url: string, { path, range }: Ask, agent: Agent): Promise<number> {
  const headers = range ? { range: `bytes=${range.first}-${range.last}` } : {};
  return new Promise((resolve, reject) => {
    const begun = performance.now();
    const request = get(url + path, { agent, headers, timeout: patienceMs }, (answer) => {
      let took: number;
      answer.once('data', () => {
        took = performance.now() - begun;
      });
      answer.once('error', reject).once('end', () => resolve(took));
    });
    request.once('error', reject).once('timeout', () => request.destroy(new Error(`${url} stands still`)));
  });
}
