import { setTimeout as sleep } from 'node:timers/promises';
import { longRecording } from '../gateway.ts';
import { apiKey, type Site } from './site.ts';

const accountId = 'acct';
/** One ingest of so many has a call to publish to HubSpot. */
const publishEvery = 5;
/** A request that takes longer counts as broken. */
const timeoutMs = 60_000;
/** How many recordings are read at a time when all are verified. */
const readers = 8;
const template = await longRecording(1);

/** The results of the requests. Only a response that was read to its end counts as completed. */
export interface Counts {
  seeks: number;
  wholes: number;
  bytes: number;
  ingests: number;
  /** Responses whose bytes were not those of the recording. None is allowed. */
  wrong: number;
  /** Responses of 503, and of nginx while a gateway is down. */
  putOff: number;
  /** Connections that broke or stalled. */
  broken: number;
}

/**
 * The audio of a recording: about ten seconds, so that those of a run fit into an S3 server in memory. Each ends
 * with its id.
 */
function audioOf(id: string): Buffer {
  const size =
    250_000 + (Buffer.from(id).reduce((sum, byte) => (sum * 31 + byte) % 9973, 7) / 9973) * 150_000;
  const audio = Buffer.from(template.subarray(0, Math.round(size / 4) * 4));
  audio.writeUInt32LE(audio.length - 8, 4);
  audio.writeUInt32LE(audio.length - 44, 40);
  audio.write(id.padEnd(16), audio.length - 16);
  return audio;
}

/** The users of the site: players, HubSpot's transcription and a phone system. */
export class Audience {
  readonly counts: Counts = {
    seeks: 0,
    wholes: 0,
    bytes: 0,
    ingests: 0,
    wrong: 0,
    putOff: 0,
    broken: 0,
  };
  /** The recordings that were acknowledged, and whether they are published. */
  readonly acknowledged = new Map<string, { isPublished: boolean }>();
  /** Each broken request, why it broke, and after how long. */
  readonly breaks: { request: string; why: string; ms: number }[] = [];
  /** Responses of 4xx. None is expected. */
  readonly rejected: string[] = [];
  /** Requests that were sent at a fixed rate, whatever their result. */
  readonly offered = { ingests: 0, wholes: 0 };
  readonly #site: Site;
  readonly #sent = new Set<Promise<void>>();

  constructor(site: Site) {
    this.#site = site;
  }

  /**
   * Loads the site until `leave` aborts, and resolves when every request has ended.
   *
   * @param rates players at a time, and whole reads and ingests per second
   */
  async use(rates: { players: number; wholes: number; ingests: number }, leave: AbortSignal): Promise<void> {
    const each = [
      this.#everySecond(rates.ingests, leave, (count) => {
        this.offered.ingests++;
        return this.ingest(`call-${count}`, count % publishEvery === 0);
      }),
      this.#everySecond(rates.wholes, leave, () => {
        this.offered.wholes++;
        return this.#whole();
      }),
      ...Array.from({ length: rates.players }, (_, player) => this.#play(player, leave)),
    ];
    await Promise.all(each);
    await Promise.all(this.#sent);
  }

  async ingest(externalId: string, isPublished: boolean): Promise<void> {
    const recording = {
      accountId,
      externalId,
      direction: 'inbound',
      channels: ['caller', 'recipient'],
      ...(isPublished && {
        call: { title: externalId, from: '+15550100', to: '+15550101', startedAt: Date.now() },
      }),
    };
    const form = new FormData();
    form.append('recording', JSON.stringify(recording));
    form.append('audio', new Blob([new Uint8Array(audioOf(externalId))]), 'call.wav');
    const headers = { authorization: `Bearer ${apiKey}` };
    const response = await this.#request('/v1/recordings', { method: 'POST', headers, body: form });
    if (response?.status !== 201) return;
    this.acknowledged.set(externalId, { isPublished });
    this.counts.ingests++;
  }

  /** The acknowledged recordings that cannot be read whole in five attempts. */
  async lost(): Promise<string[]> {
    const lost: string[] = [];
    const remaining = [...this.acknowledged.keys()];
    const readSome = async () => {
      for (let id = remaining.pop(); id !== undefined; id = remaining.pop()) {
        let bytes = await this.#read(id);
        for (let tries = 1; tries < 5 && !bytes; tries++) {
          await sleep(1_000);
          bytes = await this.#read(id);
        }
        if (!bytes?.equals(audioOf(id))) lost.push(id);
      }
    };
    await Promise.all(Array.from({ length: readers }, readSome));
    return lost;
  }

  /** Every byte of a recording; undefined if the request failed. */
  async #read(externalId: string): Promise<Buffer | undefined> {
    const url = await this.#url(externalId);
    return url === undefined ? undefined : (await this.#request(url, {}))?.body;
  }

  /** A player opens a recording, seeks 3 to 10 times and opens another one. */
  async #play(player: number, leave: AbortSignal): Promise<void> {
    await sleep(player * 5);
    while (!leave.aborted) {
      const id = this.#anyId();
      const url = id && (await this.#url(id));
      if (!url) {
        await sleep(500);
        continue;
      }
      const audio = audioOf(id);
      for (let seeks = 3 + Math.floor(Math.random() * 8); seeks > 0 && !leave.aborted; seeks--) {
        const first = Math.floor(Math.random() * audio.length);
        const last = Math.min(audio.length - 1, first + 65_535);
        const response = await this.#request(url, { headers: { range: `bytes=${first}-${last}` } });
        if (response?.status === 206) {
          this.counts.seeks++;
          this.#compare(response.body, audio.subarray(first, last + 1));
        }
        await sleep(500 + Math.random() * 1_500);
      }
    }
  }

  async #whole(): Promise<void> {
    const id = this.#anyId();
    const bytes = id && (await this.#read(id));
    if (!bytes) return;
    this.counts.wholes++;
    this.#compare(bytes, audioOf(id));
  }

  #compare(bytes: Buffer, audio: Buffer): void {
    this.counts.bytes += bytes.length;
    if (!bytes.equals(audio)) this.counts.wrong++;
  }

  #anyId(): string | undefined {
    const ids = [...this.acknowledged.keys()];
    return ids[Math.floor(Math.random() * ids.length)];
  }

  /** The path of the authenticated URL, requested as HubSpot does. */
  async #url(externalId: string): Promise<string | undefined> {
    const path = `/retrieve/authenticated/recordings/${externalId}?externalAccountId=${accountId}`;
    const response = await this.#request(path, {});
    if (response?.status !== 200) return undefined;
    return new URL(JSON.parse(response.body.toString()).authenticatedUrl).pathname;
  }

  /** Undefined if there was no response or an error. Both are counted. */
  async #request(path: string, init: RequestInit): Promise<{ status: number; body: Buffer } | undefined> {
    const signal = AbortSignal.timeout(timeoutMs);
    const startedAt = performance.now();
    let status: number;
    let body: Buffer;
    try {
      const response = await fetch(this.#site.url + path, { ...init, signal });
      status = response.status;
      body = Buffer.from(await response.arrayBuffer());
    } catch (error) {
      this.counts.broken++;
      const { message, cause } = error as Error;
      const request = `${init.method ?? 'GET'} /${path.split('/')[1]}`; // without the token, which is a secret
      const why = `${message}${cause instanceof Error ? ` (${cause.message})` : ''}`;
      this.breaks.push({ request, why, ms: Math.round(performance.now() - startedAt) });
      return undefined;
    }
    if (status < 400) return { status, body };
    if (status >= 500) this.counts.putOff++;
    else this.rejected.push(`${status} ${body.toString().slice(0, 200)}`);
    return undefined;
  }

  /** Calls `go` at a rate per second, whether or not the earlier calls have ended. */
  async #everySecond(rate: number, leave: AbortSignal, go: (count: number) => Promise<void>): Promise<void> {
    const startedAt = performance.now();
    for (let count = 0; !leave.aborted; count++) {
      const sent = go(count).finally(() => this.#sent.delete(sent));
      this.#sent.add(sent);
      const due = startedAt + ((count + 1) * 1_000) / rate; // a busy machine catches up
      await sleep(Math.max(0, due - performance.now()), undefined, { signal: leave }).catch(() => {});
    }
  }
}
