import { setTimeout as sleep } from 'node:timers/promises';
import { longRecording } from '../gateway.ts';
import { apiKey, type Site } from './site.ts';

const accountId = 'acct';
/** Of the ingests, how many bring a call along that HubSpot is to have. */
const publishedOf = 5;
/** After this a request counts as broken: nobody would wait for longer. */
const patienceMs = 60_000;
/** How many recordings are heard at a time when all are looked at. */
const listeners = 8;
const template = await longRecording(1);

/** What came of each request. Only a reply that was read to its end counts as completed. */
export interface Counts {
  seeks: number;
  wholes: number;
  bytes: number;
  ingests: number;
  /** Replies whose bytes were not those of the recording. None is allowed. */
  wrong: number;
  /** Told to come again: 503, and what nginx says while a gateway is away. */
  putOff: number;
  /** Connections that broke, before the head of the reply or after it, and those that stood still. */
  broken: number;
}

/** A call of some ten seconds, short enough that all of a run fit into an S3 server in memory; its end is its own. */
function audioOf(id: string): Buffer {
  const size =
    250_000 + (Buffer.from(id).reduce((sum, byte) => (sum * 31 + byte) % 9973, 7) / 9973) * 150_000;
  const audio = Buffer.from(template.subarray(0, Math.round(size / 4) * 4));
  audio.writeUInt32LE(audio.length - 8, 4);
  audio.writeUInt32LE(audio.length - 44, 40);
  audio.write(id.padEnd(16), audio.length - 16);
  return audio;
}

/** Everyone who uses the site, until `leave` aborts. */
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
  /** What was acknowledged, and whether HubSpot is to have it. */
  readonly acknowledged = new Map<string, { isPublished: boolean }>();
  /** Of each reply that broke: what was asked, why, and after how long. */
  readonly breaks: { asked: string; why: string; ms: number }[] = [];
  /** Answers of 4xx: there is no reason for any. */
  readonly refused: string[] = [];
  /** What was asked at a fixed rate, whatever came of it. */
  readonly offered = { ingests: 0, wholes: 0 };
  readonly #site: Site;
  readonly #sent = new Set<Promise<void>>();

  constructor(site: Site) {
    this.#site = site;
  }

  /** @param rates players at a time, whole reads and ingests a second */
  async come(rates: { players: number; wholes: number; ingests: number }, leave: AbortSignal): Promise<void> {
    const each = [
      this.#everySecond(rates.ingests, leave, (count) => {
        this.offered.ingests++;
        return this.ingest(`call-${count}`, count % publishedOf === 0);
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
    const answer = await this.#ask('/v1/recordings', { method: 'POST', headers, body: form });
    if (answer?.status !== 201) return;
    this.acknowledged.set(externalId, { isPublished });
    this.counts.ingests++;
  }

  /** Those of the acknowledged recordings that cannot be heard whole, asked for five times. */
  async lost(): Promise<string[]> {
    const lost: string[] = [];
    const left = [...this.acknowledged.keys()];
    const hearSome = async () => {
      for (let id = left.pop(); id !== undefined; id = left.pop()) {
        let heard = await this.#hear(id);
        for (let tries = 1; tries < 5 && !heard; tries++) {
          await sleep(1_000);
          heard = await this.#hear(id);
        }
        if (!heard?.equals(audioOf(id))) lost.push(id);
      }
    };
    await Promise.all(Array.from({ length: listeners }, hearSome));
    return lost;
  }

  /** Every byte of a recording; undefined where it could not be had. */
  async #hear(externalId: string): Promise<Buffer | undefined> {
    const url = await this.#url(externalId);
    return url === undefined ? undefined : (await this.#ask(url, {}))?.body;
  }

  /** A player opens a recording, seeks 3 to 10 times, and leaves for another one. */
  async #play(player: number, leave: AbortSignal): Promise<void> {
    await sleep(player * 5);
    while (!leave.aborted) {
      const id = this.#anyone();
      const url = id && (await this.#url(id));
      if (!url) {
        await sleep(500);
        continue;
      }
      const audio = audioOf(id);
      for (let seeks = 3 + Math.floor(Math.random() * 8); seeks > 0 && !leave.aborted; seeks--) {
        const first = Math.floor(Math.random() * audio.length);
        const last = Math.min(audio.length - 1, first + 65_535);
        const answer = await this.#ask(url, { headers: { range: `bytes=${first}-${last}` } });
        if (answer?.status === 206) {
          this.counts.seeks++;
          this.#compare(answer.body, audio.subarray(first, last + 1));
        }
        await sleep(500 + Math.random() * 1_500);
      }
    }
  }

  async #whole(): Promise<void> {
    const id = this.#anyone();
    const heard = id && (await this.#hear(id));
    if (!heard) return;
    this.counts.wholes++;
    this.#compare(heard, audioOf(id));
  }

  #compare(heard: Buffer, audio: Buffer): void {
    this.counts.bytes += heard.length;
    if (!heard.equals(audio)) this.counts.wrong++;
  }

  #anyone(): string | undefined {
    const ids = [...this.acknowledged.keys()];
    return ids[Math.floor(Math.random() * ids.length)];
  }

  /** As HubSpot asks for it. */
  async #url(externalId: string): Promise<string | undefined> {
    const path = `/retrieve/authenticated/recordings/${externalId}?externalAccountId=${accountId}`;
    const answer = await this.#ask(path, {});
    if (answer?.status !== 200) return undefined;
    return new URL(JSON.parse(answer.body.toString()).authenticatedUrl).pathname;
  }

  /** Undefined where there was no answer or it was not good; each is counted. */
  async #ask(path: string, init: RequestInit): Promise<{ status: number; body: Buffer } | undefined> {
    const signal = AbortSignal.timeout(patienceMs);
    const began = performance.now();
    let status: number;
    let body: Buffer;
    try {
      const answer = await fetch(this.#site.url + path, { ...init, signal });
      status = answer.status;
      body = Buffer.from(await answer.arrayBuffer());
    } catch (error) {
      this.counts.broken++;
      const { message, cause } = error as Error;
      const asked = `${init.method ?? 'GET'} /${path.split('/')[1]}`; // no more of it: tokens are secrets
      const why = `${message}${cause instanceof Error ? ` (${cause.message})` : ''}`;
      this.breaks.push({ asked, why, ms: Math.round(performance.now() - began) });
      return undefined;
    }
    if (status < 400) return { status, body };
    if (status >= 500) this.counts.putOff++;
    else this.refused.push(`${status} ${body.toString().slice(0, 200)}`);
    return undefined;
  }

  /** Starts `rate` of them a second, whether or not the earlier ones have ended. */
  async #everySecond(rate: number, leave: AbortSignal, go: (count: number) => Promise<void>): Promise<void> {
    const began = performance.now();
    for (let count = 0; !leave.aborted; count++) {
      const sent = go(count).finally(() => this.#sent.delete(sent));
      this.#sent.add(sent);
      const due = began + ((count + 1) * 1_000) / rate; // what a busy machine has put off is made up for
      await sleep(Math.max(0, due - performance.now()), undefined, { signal: leave }).catch(() => {});
    }
  }
}
