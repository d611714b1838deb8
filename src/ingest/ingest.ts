import { createHash, type Hash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Tokens } from '../access/tokens.ts';
import type { CheckPool } from '../audio/process/pool.ts';
import type { Declared, Report } from '../audio/report.ts';
import { isProblem, Problem } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Origins } from '../origins/open.ts';
import type { Origin, Representation, Store } from '../origins/origin.ts';
import type { Publisher } from '../publishing/publisher.ts';
import type { Catalog, Put, Recording } from '../recordings/catalog.ts';
import type { Config } from '../settings/config.ts';
import { type Offer, requireDeclared, requireOffer } from './offer.ts';
import type { Reference } from './sources.ts';

export interface Accepted {
  outcome: 'created' | 'replaced' | 'same';
  recording: Recording;
}

/** Audio that was stored and found good, but is not entered yet. */
interface Judged {
  origin: Recording['origin'];
  key: string;
  representation: Representation;
  /** Without its quotes. */
  etag: string;
  sha256: string | null;
  report: Report;
}

interface Parts {
  catalog: Catalog;
  store: Store;
  origins: Origins['read'];
  forget: Origins['forget'];
  checkPool: CheckPool;
  tokens: Tokens;
  publisher: Publisher;
  metrics: Metrics;
  config: Pick<Config, 'channelPolicy' | 'maxAudioSize' | 'hubspotAppId'>;
}

const leaseMs = 30_000;

/**
 * Takes recordings in. The order keeps a crash harmless: the key is noted in the catalog, the audio stored
 * under it, checked, and only then entered as playable, which takes the note away. Whatever a crash leaves
 * still has its note, and `clean` removes it.
 */
export class Ingest {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * Stores and checks one recording. The same audio offered again is answered with what is there.
   *
   * @throws Problem `invalid_request`, `too_large`, `conflict`, `refused_audio` (with the report), and what
   * the store, the check and `audio` throw; nothing is kept then but the report of refused audio
   */
  async accept(offer: Offer, audio: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Accepted> {
    requireOffer(offer, this.#parts.config.hubspotAppId);
    const key = newKey();
    const release = await this.#note(key);
    let put: Put;
    try {
      const taken = await this.#take(offer, key, audio, signal);
      put = 'known' in taken ? { outcome: 'same', recording: taken.known } : await this.#enter(offer, taken);
      if (put.outcome === 'same') await this.#discardOrLeave(key);
    } catch (error) {
      // An error of the database may hide a commit: the note then stays, and `clean` knows by it.
      if (!isProblem(error, 'database_unavailable')) await this.#discardOrLeave(key);
      throw error;
    } finally {
      release();
    }
    return this.#finish(offer, put); // whatever happens from here on, the audio is the recording's
  }

  /**
   * Checks a recording that stays where it is, and enters it as playable from there. Its listeners get the
   * version that was checked or none.
   *
   * @throws Problem `invalid_request`, `too_large`, `conflict`, `refused_audio` (with the report), and what
   * the origin and the check throw
   */
  async refer(offer: Offer, { name, key }: Reference, signal: AbortSignal): Promise<Accepted> {
    requireOffer(offer, this.#parts.config.hubspotAppId);
    const origin = this.#parts.origins[name];
    const there = await origin.stat(key, signal);
    if (there.size > this.#parts.config.maxAudioSize) throw this.#tooLarge();
    const report = await this.#judge(offer, origin, key, there, signal);
    const version = createHash('sha256')
      .update(JSON.stringify([name, key, there.etag]))
      .digest('hex');
    const judged: Judged = { origin: name, key, representation: there, etag: version, sha256: null, report };
    return this.#finish(offer, await this.#enter(offer, judged));
  }

  /**
   * Judges audio without keeping it.
   *
   * @throws Problem `too_large`, and what the store, the check and `audio` throw
   */
  async check(declared: Declared, audio: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Report> {
    requireDeclared(declared);
    const { store, checkPool } = this.#parts;
    const key = newKey();
    const release = await this.#note(key);
    try {
      const representation = await store.write(key, this.#limited(audio), signal);
      return await checkPool.check({ origin: store, key, representation }, declared, signal);
    } finally {
      release();
      await this.#discardOrLeave(key);
    }
  }

  /** Erases a recording, its audio and every URL of it. @returns whether there was one */
  async erase(accountId: string, externalId: string): Promise<boolean> {
    const { catalog, tokens } = this.#parts;
    if (!(await catalog.read(accountId, externalId))) return false;
    // First of all: were it second, a crash between would leave URLs that open the same audio, put in again.
    await tokens.revoke({ accountId, externalId });
    const removed = await catalog.remove(accountId, externalId);
    if (removed) await this.#dispose(removed);
    return removed !== undefined;
  }

  /**
   * Removes what ingests that died left in the store.
   *
   * @returns how many were removed
   * @throws what the store throws, after it was asked to remove each
   */
  async clean(): Promise<number> {
    const stale = await this.#parts.catalog.staleUploads();
    const failures: unknown[] = [];
    for (const key of stale) await this.#discard(key).catch((error) => failures.push(error));
    if (failures.length > 0) throw failures[0];
    return stale.length;
  }

  /** Stores and checks, short of entering it. Audio that is there already needs no second check. */
  async #take(
    offer: Offer,
    key: string,
    audio: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<Judged | { known: Recording }> {
    const { catalog, store } = this.#parts;
    const digest = createHash('sha256');
    const stored = await store.write(key, digested(this.#limited(audio), digest), signal);
    const sha256 = digest.digest('hex');

    const known = await catalog.read(offer.accountId, offer.externalId);
    if (known?.key && known.sha256 === sha256) return { known };
    if (known?.key && !offer.replace) throw new Problem('conflict');

    const report = await this.#judge(offer, store, key, stored, signal);
    return { origin: 'store', key, representation: stored, etag: sha256, sha256, report };
  }

  async #judge(
    offer: Offer,
    origin: Origin,
    key: string,
    representation: Representation,
    signal: AbortSignal,
  ): Promise<Report> {
    const report = await this.#parts.checkPool.check({ origin, key, representation }, offer, signal);
    if (this.#refuses(report)) throw await this.#refused(offer, report);
    return report;
  }

  #enter(offer: Offer, { origin, key, representation, etag, sha256, report }: Judged): Promise<Put> {
    return this.#parts.catalog.put(
      {
        accountId: offer.accountId,
        externalId: offer.externalId,
        direction: offer.direction,
        origin,
        key,
        size: representation.size,
        etag: `"${etag}"`,
        originEtag: representation.etag,
        lastModified: representation.lastModified,
        sha256,
        container: report.audio.container ?? null,
        report,
        call: offer.call ?? null,
      },
      { replace: offer.replace ?? false },
    );
  }

  async #finish(offer: Offer, { replaced, ...accepted }: Put): Promise<Accepted> {
    if (replaced) await this.#dispose(replaced).catch(() => {}); // it is given up: `clean` tries again
    return this.#publish(offer, accepted);
  }

  /**
   * Takes what the offer says anew of the call, and sends what HubSpot is to have on its way, before the
   * ingest is acknowledged: no crash lies between.
   */
  async #publish(offer: Offer, { outcome, recording }: Accepted): Promise<Accepted> {
    const { catalog, publisher, config } = this.#parts;
    const { accountId, externalId, call } = offer;
    const isNews = outcome === 'same' && call !== undefined && !isDeepStrictEqual(call, recording.call);
    const described = isNews ? await catalog.describe(accountId, externalId, call) : recording;
    if (!described)
      throw new Problem('conflict', 'The recording was erased while it was being offered again.');
    if (described.call && described.verdict === 'pass' && config.hubspotAppId !== '') {
      await publisher.publish(described);
    }
    return { outcome, recording: described };
  }

  /** Notes the key and keeps the note alive until the returned function is called. */
  async #note(key: string): Promise<() => void> {
    const { catalog } = this.#parts;
    await catalog.beginUpload(key, leaseMs);
    const renewal = setInterval(() => {
      catalog.renewUpload(key, leaseMs).catch(() => {}); // the database is away: the next one renews
    }, leaseMs / 3);
    return () => clearInterval(renewal);
  }

  /** Removes the audio of a recording that is no longer in the catalog. */
  async #dispose({ origin, key, originEtag: etag, size }: Recording): Promise<void> {
    if (key === null) return;
    const { forget } = this.#parts;
    await forget(origin, key, { etag, size });
    if (origin !== 'store') return;
    await this.#discard(key);
    await forget(origin, key, { etag, size }); // a read may have brought blocks back before the audio was gone
  }

  async #discard(key: string): Promise<void> {
    await this.#parts.store.remove(key);
    await this.#parts.catalog.endUpload(key);
  }

  /** For audio that nobody wants: where it cannot be removed, its note stays, and `clean` tries again. */
  async #discardOrLeave(key: string): Promise<void> {
    await this.#discard(key).catch(() => {});
  }

  async *#limited(audio: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const limit = this.#parts.config.maxAudioSize;
    let size = 0;
    for await (const chunk of audio) {
      size += chunk.byteLength;
      if (size > limit) throw this.#tooLarge();
      yield chunk;
    }
  }

  #tooLarge(): Problem {
    const limit = this.#parts.config.maxAudioSize;
    return new Problem('too_large', `The audio is larger than PLAYHEAD_MAX_AUDIO_SIZE, ${limit} bytes.`);
  }

  #refuses(report: Report): boolean {
    const strict = this.#parts.config.channelPolicy === 'strict';
    return report.verdict === 'fail' || (report.verdict === 'inconclusive' && strict);
  }

  async #refused(offer: Offer, report: Report): Promise<Problem> {
    const { catalog, metrics } = this.#parts;
    const { accountId, externalId, direction, call } = offer;
    await catalog.refuse({ accountId, externalId, direction, call: call ?? null, report });
    for (const code of report.codes) metrics.refusals.inc({ code });
    return new Problem('refused_audio', refusalSentence(report), { extra: { report } });
  }
}

async function* digested(audio: AsyncIterable<Uint8Array>, digest: Hash): AsyncIterable<Uint8Array> {
  for await (const chunk of audio) {
    digest.update(chunk);
    yield chunk;
  }
}

/** Two levels of folders, so that no folder of a local store holds a million recordings. */
function newKey(): string {
  const id = randomUUID();
  return `${id.slice(0, 2)}/${id}`;
}

function refusalSentence(report: Report): string {
  const repairs = Object.values(report.repairs);
  return `The audio was refused (${report.codes.join(', ')}). ${repairs.join(' ')}`.trim();
}
