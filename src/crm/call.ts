import type { Direction } from '../unions.ts';

/** A record of the CRM that a call belongs to. */
export interface Association {
  /** In the plural: `contacts`, `companies`, `deals`, `tickets`, or the id of a custom type such as `2-12345`. */
  objectType: string;
  objectId: string;
  /** If it is missing, the CRM's default association is made. */
  associationTypeId?: number | undefined;
}

/** What the phone system says of a call, kept as given. */
export interface CallData {
  /** The CRM's id of a call that it has already. */
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

/** All that a CRM is told of a call and its recording. */
export interface RecordedCall {
  accountId: string;
  externalId: string;
  direction: Direction | null;
  call: CallData;
  /** Start of the call if `call.startedAt` is missing. */
  recordedAt: Date;
  /** Length of the audio: tells a duration in seconds from one in milliseconds. */
  audioSeconds?: number | undefined;
}
