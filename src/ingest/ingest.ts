import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Tokens } from '../access/tokens.ts';
import type { CheckPool } from '../audio/process/pool.ts';
import type { Declared, Report } from '../audio/report.ts';
import type { Crm } from '../crm/crm.ts';
import type { Database } from '../db/open.ts';
import { Problem } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { Origin, Representation } from '../origins/origin.ts';
import type { Outbox } from '../publishing/outbox.ts';
import { isPublishable } from '../publishing/publications.ts';
import type { Publisher } from '../publishing/publisher.ts';
import type { Catalog, PutResult, RequireRemovable } from '../recordings/catalog.ts';
import { ContentHash } from '../recordings/content-hash.ts';
import type { Holds } from '../recordings/holds.ts';
import type { RecordedAudio } from '../recordings/recorded-audio.ts';
import { type AcceptedRecording, isPlayable, type Recording } from '../recordings/recording.ts';
import type { Config } from '../settings/config.ts';
import type { OriginName } from '../unions.ts';
import { type Offer, requireCall, requireDeclared, requireOffer, requireSize } from './offer.ts';
import type { Reference } from './sources.ts';
import type { StoredAudio } from './stored-audio.ts';

export interface IngestParts {
  catalog: Catalog;
  /** The store, for reads of whole recordings: a listener's blocks are not evicted from the cache by a check. */
  whole: Origin;
  storedAudio: StoredAudio;
  holds: Holds;
  origins: Record<OriginName, Origin>;
  recordedAudio: Pick<RecordedAudio, 'isThere'>;
  checkPool: CheckPool;
  tokens: Tokens;
  publisher: Publisher;
  outbox: Pick<Outbox, 'announceDue'>;
  crm: Crm;
  db: Pick<Database, 'purge'>;
  metrics: Metrics;
  channelPolicy: Config['channelPolicy'];
  maxAudioBytes: number;
}

/** Audio in the store or by reference, before its check. The ETag of `representation` is the origin's. */
interface UncheckedAudio
  extends Pick<AcceptedRecording, 'origin' | 'key' | 'etag' | 'sha256' | 'blockDigests'> {
  representation: Representation;
}

/**
 * Takes recordings in and erases them. Crash-safe by its order: record the store key, write the audio, check
 * it, then insert the recording and delete the key's record in one transaction.
 */
export class Ingest {
  readonly #parts: IngestParts;

  constructor(parts: IngestParts) {
    this.#parts = parts;
  }

  /**
   * Stores and checks one recording, and publishes it if it has a call. If the recording already has this audio,
   * only its call data may change. If the store has lost the audio, this audio takes its place.
   *
   * If this fails before the recording is committed, the audio is discarded. A rejection keeps its report. If the
   * publication fails, the recording is kept.
   *
   * @throws Problem `invalid_request`, `too_large`, `conflict`, `refused_audio` (with the report), and what
   *   the store, the check, the publication and `audio` throw
   */
  async accept(offer: Offer, audio: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<PutResult> {
    const { storedAudio, crm } = this.#parts;
    requireOffer(offer, crm);
    const result = await storedAudio.withNewKey(async (key) => {
      const put = await this.#storeAndPut(offer, key, audio, signal);
      if (put.outcome === 'same') await storedAudio.discard(key);
      return put;
    });
    // Not inside `withNewKey`: an error from here on must not discard the audio of the recording.
    return this.#finish(offer, result);
  }

  /**
   * Checks one recording by reference, and publishes it if it has a call. Its audio stays where it is. If the
   * audio changes there, listeners get an error and never the changed audio.
   *
   * @throws Problem `invalid_request`, `too_large`, `conflict`, `refused_audio` (with the report), and what
   *   the origin, the check and the publication throw
   */
  async refer(offer: Offer, { name, key }: Reference, signal: AbortSignal): Promise<PutResult> {
    const { origins, maxAudioBytes, crm } = this.#parts;
    requireOffer(offer, crm);
    const representation = await origins[name].stat(key, signal);
    requireSize(representation.size, maxAudioBytes);
    // The ETag for listeners. It changes with the version at the origin.
    const version = createHash('sha256').update(JSON.stringify([name, key, representation.etag]));
    const etag = `"${version.digest('hex')}"`;
    const audio = { origin: name, key, representation, etag, sha256: null };
    return this.#finish(offer, await this.#checkAndPut(offer, audio, signal));
  }

  /**
   * Checks audio without keeping it.
   *
   * @throws Problem `invalid_request`, `too_large`, and what the store, the check and `audio` throw
   */
  async check(declared: Declared, audio: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<Report> {
    const { whole, storedAudio } = this.#parts;
    requireDeclared(declared);
    return storedAudio.withNewKey(async (key) => {
      const representation = await storedAudio.write(key, audio, signal);
      const report = await this.#timedCheck({ origin: whole, key, representation }, declared, signal);
      await storedAudio.discard(key);
      return report;
    });
  }

  /**
   * Erases a recording, its audio and its publication, and revokes every URL of it. Nothing of it remains in the
   * database. HubSpot keeps the call that was logged.
   *
   * @param requireRemovable as in `Catalog.remove`
   * @returns whether the recording existed
   * @throws Problem `held` if the recording is under a legal hold
   */
  async erase(accountId: string, externalId: string, requireRemovable?: RequireRemovable): Promise<boolean> {
    const { catalog, tokens, storedAudio, holds, db } = this.#parts;
    const recording = await catalog.read(accountId, externalId);
    if (!recording) return false;
    await holds.requireNone(recording); // before its URLs are revoked
    // Revoke first. If the removal came first, a crash after it would leave the URLs valid. They would play the
    // same audio if it is ingested again.
    await tokens.revoke({ accountId, externalId });
    const removed = await catalog.remove(accountId, externalId, requireRemovable);
    if (removed) await storedAudio.removeOf(removed);
    await db.purge?.();
    return removed !== undefined;
  }

  /** Writes the audio. Then checks it and puts it into the catalog, unless the recording already has this audio. */
  async #storeAndPut(
    offer: Offer,
    key: string,
    audio: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<PutResult> {
    const { catalog, storedAudio, recordedAudio } = this.#parts;
    const hash = new ContentHash();
    const representation = await storedAudio.write(key, hashed(audio, hash), signal);
    const { sha256, blockDigests } = hash.digest();

    const before = await catalog.read(offer.accountId, offer.externalId);
    const isSame = before !== undefined && isPlayable(before) && before.sha256 === sha256;
    const isLost = isSame && !(await recordedAudio.isThere(before));
    if (isSame && !isLost) return { outcome: 'same', recording: before };
    if (before?.key && !isSame && !offer.replace) throw new Problem('conflict');
    const etag = `"${sha256}"`;
    const stored: UncheckedAudio = { origin: 'store', key, representation, etag, sha256, blockDigests };
    return this.#checkAndPut(offer, stored, signal, isLost);
  }

  /** Everything that can deny the ingest is asked before anything is entered. */
  async #checkAndPut(
    offer: Offer,
    audio: UncheckedAudio,
    signal: AbortSignal,
    isLost = false,
  ): Promise<PutResult> {
    const { catalog, whole, origins, crm } = this.#parts;
    const { key, representation } = audio;
    const origin = audio.origin === 'store' ? whole : origins[audio.origin];
    const report = await this.#timedCheck({ origin, key, representation }, offer, signal);
    if (this.#isRejected(report)) throw await this.#reject(offer, report);
    requireCall(offer, crm, report.audio.durationSeconds);
    return catalog.put(acceptedRecording(offer, audio, report), { replace: offer.replace ?? false, isLost });
  }

  async #timedCheck(...input: Parameters<CheckPool['check']>): Promise<Report> {
    const { checkPool, metrics } = this.#parts;
    const stop = metrics.checkSeconds.startTimer();
    const report = await checkPool.check(...input);
    stop({ verdict: report.verdict });
    return report;
  }

  #isRejected({ verdict }: Report): boolean {
    const isStrict = this.#parts.channelPolicy === 'strict';
    return verdict === 'fail' || (verdict === 'inconclusive' && isStrict);
  }

  /** Keeps the report on rejected audio. @returns the Problem to throw */
  async #reject(offer: Offer, report: Report): Promise<Problem> {
    const { catalog, metrics } = this.#parts;
    const { accountId, externalId, direction, call = null } = offer;
    await catalog.reject({ accountId, externalId, direction, call, report });
    for (const code of report.codes) metrics.refusals.inc({ code });
    return new Problem('refused_audio', rejectionSentence(report), { extra: { report } });
  }

  /**
   * Completes an ingest once the catalog has the recording. The publication of new audio was planned with it. That of
   * audio sent again is planned before the ingest is acknowledged, so that no crash can lose it.
   */
  async #finish(offer: Offer, { outcome, recording, replaced }: PutResult): Promise<PutResult> {
    const { storedAudio, publisher, outbox, crm } = this.#parts;
    // The key of the replaced audio has expired. If this removal fails, `removeExpired` tries again.
    if (replaced) await storedAudio.removeReplaced(replaced).catch(() => {});
    const current = outcome === 'same' ? await this.#updateCall(offer, recording) : recording;
    if (isPublishable(current, crm)) {
      if (outcome === 'same') await publisher.publish(current);
      else outbox.announceDue();
    }
    return { outcome, recording: current };
  }

  /** Stores the call data of an offer whose audio the recording already has, if the data differ. */
  async #updateCall(offer: Offer, recording: Recording): Promise<Recording> {
    const { catalog, crm } = this.#parts;
    const { call } = offer;
    if (call === undefined || isDeepStrictEqual(call, recording.call)) return recording;
    requireCall(offer, crm, recording.report.audio.durationSeconds);
    const updated = await catalog.updateCall(recording.accountId, recording.externalId, call);
    if (updated) return updated;
    throw new Problem('conflict', 'The recording was erased during this request. Send it again.');
  }
}

function acceptedRecording(
  { accountId, externalId, direction, call }: Offer,
  { representation, ...audio }: UncheckedAudio,
  report: Report,
): AcceptedRecording {
  return {
    accountId,
    externalId,
    direction,
    call: call ?? null,
    ...audio,
    size: representation.size,
    originEtag: representation.etag,
    lastModified: representation.lastModified,
    container: report.audio.container ?? null,
    report,
  };
}

async function* hashed(audio: AsyncIterable<Uint8Array>, hash: ContentHash): AsyncIterable<Uint8Array> {
  for await (const chunk of audio) {
    hash.update(chunk);
    yield chunk;
  }
}

function rejectionSentence({ codes, repairs }: Report): string {
  return `The audio was rejected (${codes.join(', ')}). ${Object.values(repairs).join(' ')}`.trim();
}
