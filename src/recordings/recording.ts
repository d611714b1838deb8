import { randomUUID } from 'node:crypto';
import type { Report } from '../audio/report.ts';
import type { CallData } from '../crm/call.ts';
import type { RecordingRow } from '../db/schema.ts';
import { Problem } from '../errors.ts';
import type { Container, Direction, OriginName, Verdict } from '../unions.ts';

/** The phone system's ids of the account and of the call. */
export interface RecordingIds {
  accountId: string;
  externalId: string;
}

/** A recording whose audio passed the check, before the catalog has it. */
export interface AcceptedRecording extends RecordingIds {
  direction: Direction | null;
  /** Where its audio is: in our store, or by reference in a bucket or at a vendor. */
  origin: OriginName;
  key: string;
  /** Bytes. */
  size: number;
  /** The strong ETag, with its quotes, that listeners get. */
  etag: string;
  /** The ETag that reads of the origin are pinned to. */
  originEtag: string;
  lastModified: Date;
  /** Hexadecimal. Null for a reference, which is never read whole. */
  sha256: string | null;
  /**
   * SHA-256 of each block (`Version.blockDigests`). Undefined for a reference, for audio that an earlier version stored
   * and `verify` has not read yet, and in lists.
   */
  blockDigests?: string | undefined;
  container: Container | null;
  report: Report;
  call: CallData | null;
}

/** A recording whose audio did not pass the check and is not kept. */
export type RejectedRecording = Pick<
  AcceptedRecording,
  'accountId' | 'externalId' | 'direction' | 'report' | 'call'
>;

/** A recording in the catalog. */
export interface Recording extends Omit<AcceptedRecording, 'key'> {
  id: string;
  /** Null if the audio was rejected; both ETags are empty then. */
  key: string | null;
  verdict: Verdict;
  /** The report on the latest rejected audio. Null if none was rejected since the current audio was accepted. */
  rejection: Report | null;
  createdAt: Date;
  updatedAt: Date;
  /** Since when the bytes in the store are known not to be those that were checked. */
  damagedAt: Date | null;
}

/** A recording whose audio is kept. */
export type PlayableRecording = Recording & { key: string };

const maxIdBytes = 1024;

/**
 * Whether text can be an accountId or an externalId: 1 to 1024 bytes of well-formed Unicode without NUL, which
 * Postgres cannot store in text.
 */
export function isId(id: string): boolean {
  return id !== '' && Buffer.byteLength(id) <= maxIdBytes && !id.includes('\0') && id.isWellFormed();
}

/** A new row of the catalog. */
export function rowOf(recording: AcceptedRecording, now: number): RecordingRow {
  return {
    id: randomUUID(),
    account_id: recording.accountId,
    external_id: recording.externalId,
    direction: recording.direction,
    origin: recording.origin,
    key: recording.key,
    size: recording.size,
    etag: recording.etag,
    origin_etag: recording.originEtag,
    last_modified: recording.lastModified.getTime(),
    sha256: recording.sha256,
    container: recording.container,
    verdict: recording.report.verdict,
    report: JSON.stringify(recording.report),
    refusal: null,
    call: recording.call && JSON.stringify(recording.call),
    created_at: now,
    updated_at: now,
    verified_at: now,
    damaged_at: null,
  };
}

/** A new row of the catalog that has a report and no audio. */
export function rejectedRow(recording: RejectedRecording, now: number): RecordingRow {
  const { container, size } = recording.report.audio;
  const facts = { size, container: container ?? null, sha256: null, lastModified: new Date(now) };
  const noAudio = { origin: 'store', key: '', etag: '', originEtag: '' } as const;
  return {
    ...rowOf({ ...recording, ...facts, ...noAudio }, now),
    key: null,
    refusal: JSON.stringify(recording.report),
  };
}

/** @param row perhaps with the digests of its blocks */
export function fromRow(row: RecordingRow & { digests?: string | null }): Recording {
  return {
    id: row.id,
    accountId: row.account_id,
    externalId: row.external_id,
    direction: row.direction,
    origin: row.origin,
    key: row.key,
    size: row.size,
    etag: row.etag,
    originEtag: row.origin_etag,
    lastModified: new Date(row.last_modified),
    sha256: row.sha256,
    ...(row.digests && { blockDigests: row.digests }),
    container: row.container,
    verdict: row.verdict,
    report: JSON.parse(row.report),
    rejection: row.refusal && JSON.parse(row.refusal),
    call: row.call && JSON.parse(row.call),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    damagedAt: row.damaged_at === null ? null : new Date(row.damaged_at),
  };
}

export function isPlayable(recording: Recording | undefined): recording is PlayableRecording {
  return Boolean(recording?.key);
}

/** @throws Problem `invalid_request` if an id is out of bounds */
export function requireIds(ids: RecordingIds): void {
  for (const field of ['accountId', 'externalId'] as const) {
    if (!isId(ids[field])) {
      throw new Problem(
        'invalid_request',
        `"${field}" must be text of 1 to 1024 bytes without a NUL character.`,
      );
    }
  }
}

/** Whether a recording has the audio that is offered. */
export function isSameAudio(before: Recording, input: AcceptedRecording): boolean {
  if (before.key === null) return false;
  if (input.sha256 !== null) return before.sha256 === input.sha256;
  return before.origin === input.origin && before.key === input.key && before.originEtag === input.originEtag;
}
