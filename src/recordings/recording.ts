import { randomUUID } from 'node:crypto';
import type { Report } from '../audio/report.ts';
import type { CallData } from '../crm/call.ts';
import type { RecordingRow } from '../db/schema.ts';
import type { Container, Direction, OriginName, Verdict } from '../unions.ts';

/** What is known of a recording whose audio was accepted. */
export interface AcceptedRecording {
  accountId: string;
  externalId: string;
  direction: Direction | null;
  /** Where its bytes are: in our store, or by reference in a bucket or at a vendor. */
  origin: OriginName;
  key: string;
  /** Bytes. */
  size: number;
  /** Strong, with its quotes: the one that listeners see. */
  etag: string;
  /** The one that the origin's reads are pinned to. */
  originEtag: string;
  lastModified: Date;
  /** Hexadecimal; null for a reference that was never read whole. */
  sha256: string | null;
  container: Container | null;
  report: Report;
  call: CallData | null;
}

export interface Recording extends Omit<AcceptedRecording, 'key'> {
  id: string;
  /** Null where the audio was refused: none is kept, and both ETags are empty. */
  key: string | null;
  verdict: Verdict;
  /** The latest attempt that was refused since the audio here was accepted. */
  refusal: Report | null;
  createdAt: Date;
  updatedAt: Date;
}

export type RefusedRecording = Pick<
  AcceptedRecording,
  'accountId' | 'externalId' | 'direction' | 'report' | 'call'
>;

const ID_BYTES = 1024;

/** Account and external ids hold any characters but NUL, which Postgres cannot keep in text. */
export function isId(id: string): boolean {
  return id !== '' && Buffer.byteLength(id) <= ID_BYTES && !id.includes('\0') && id.isWellFormed();
}

/** A new row of the catalog. */
export function rowOf(input: AcceptedRecording, now: number): RecordingRow {
  return {
    id: randomUUID(),
    account_id: input.accountId,
    external_id: input.externalId,
    direction: input.direction,
    origin: input.origin,
    key: input.key,
    size: input.size,
    etag: input.etag,
    origin_etag: input.originEtag,
    last_modified: input.lastModified.getTime(),
    sha256: input.sha256,
    container: input.container,
    verdict: input.report.verdict,
    report: JSON.stringify(input.report),
    refusal: null,
    call: input.call && JSON.stringify(input.call),
    created_at: now,
    updated_at: now,
  };
}

/** A new row for audio of which only the report is kept. */
export function refusedRow(input: RefusedRecording, now: number): RecordingRow {
  const { container, size } = input.report.audio;
  const facts = { size, container: container ?? null, sha256: null, lastModified: new Date(now) };
  const nowhere = { origin: 'store', key: '', etag: '', originEtag: '' } as const;
  return {
    ...rowOf({ ...input, ...facts, ...nowhere }, now),
    key: null,
    refusal: JSON.stringify(input.report),
  };
}

export function fromRow(row: RecordingRow): Recording {
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
    container: row.container,
    verdict: row.verdict,
    report: JSON.parse(row.report),
    refusal: row.refusal && JSON.parse(row.refusal),
    call: row.call && JSON.parse(row.call),
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
  };
}
