import type { Direction } from '../unions.ts';

/** A record of the CRM that a call belongs to. */
export interface Association {
  /** In the plural: `contacts`, `companies`, `deals`, `tickets`, or the id of a custom type such as `2-12345`. */
  objectType: string;
  objectId: string;
  /** Default: the CRM's default type for this object type. */
  associationTypeId?: number | undefined;
}

/** What the phone system reports about a call, stored as received. */
export interface CallData {
  /** The CRM's id of the call, if the CRM has it already. */
  id?: string;
  title?: string;
  body?: string;
  from?: string;
  to?: string;
  /** Milliseconds since 1970, or ISO 8601. */
  startedAt?: number | string;
  durationMs?: number;
  status?: string;
  disposition?: string;
  ownerId?: string;
  associations?: Association[];
}

/** Everything that a CRM receives about a call and its recording. */
export interface RecordedCall {
  accountId: string;
  externalId: string;
  direction: Direction | null;
  call: CallData;
  /** Start of the call if `call.startedAt` is missing. */
  recordedAt: Date;
  /** Length of the audio. It replaces a missing `call.durationMs` and reveals one that is in seconds. */
  audioSeconds?: number | undefined;
}
