import type { Generated } from 'kysely';
import type { Container, Direction, JobState, OriginName, StepKind, StepState, Verdict } from '../unions.ts';

/**
 * The tables, the same on SQLite and Postgres. Instants are integer milliseconds since 1970, JSON is text,
 * and there are no booleans, since SQLite has none. `Id` columns hold any characters but NUL.
 */
export interface Schema {
  recordings: RecordingRow;
  uploads: UploadRow;
  changes: ChangeRow;
  signing_keys: SigningKeyRow;
  revocations: RevocationRow;
  api_keys: ApiKeyRow;
  secrets: SecretRow;
  outbox: OutboxRow;
  portal_leases: PortalLeaseRow;
  publication_steps: StepRow;
  installations: InstallationRow;
  installed_accounts: InstalledAccountRow;
}

export interface RecordingRow {
  id: string;
  account_id: string;
  external_id: string;
  direction: Direction | null;
  origin: OriginName;
  /** Null where the audio was refused, so that none is kept. */
  key: string | null;
  size: number;
  etag: string;
  origin_etag: string;
  last_modified: number;
  sha256: string | null;
  container: Container | null;
  verdict: Verdict;
  report: string;
  refusal: string | null;
  call: string | null;
  created_at: number;
  updated_at: number;
}

/** A key of the store that no recording owns: not yet, or no longer. */
export interface UploadRow {
  key: string;
  lease_until: number;
  /** Set once the key is given up for removal: from then on no recording may take it. */
  abandoned_at: number | null;
}

export interface ChangeRow {
  /** Given by the database; a transaction that commits late may make a lower one visible after a higher. */
  seq: Generated<number>;
  kind: string;
  subject: string;
  at: number;
}

export interface SigningKeyRow {
  /** Counts up: of the keys that are not retired the highest signs. */
  ordinal: number;
  kid: string;
  /** Sealed by the vault; empty once the key is retired. */
  secret: string;
  created_at: number;
  retired_at: number | null;
}

/** `jti` alone names a token, both ids a recording, `account_id` alone an account; what is not named is ''. */
export interface RevocationRow {
  account_id: string;
  external_id: string;
  jti: string;
  /** What was issued up to this instant is revoked. */
  cutoff: number;
  /** By then everything revoked has expired of itself and the row may go. */
  expires_at: number;
}

export interface ApiKeyRow {
  name: string;
  /** SHA-256, hexadecimal. */
  hash: string;
  created_at: number;
}

export interface SecretRow {
  name: string;
  /** Sealed by the vault. */
  sealed: string;
}

/** A job of the outbox. A kind has one for each pair of ids. */
export interface OutboxRow {
  id: string;
  kind: string;
  account_id: string;
  external_id: string;
  state: JobState;
  /** Counts how often the job was enqueued, so that work added while it runs is not lost when it ends. */
  revision: number;
  /** Attempts since the last progress. */
  attempts: number;
  due_at: number;
  /** Names the taking; void after `lease_until`. */
  lease: string | null;
  lease_until: number;
  /** Why the last attempt failed. */
  reason: string | null;
  created_at: number;
  updated_at: number;
}

/** The process that publishes to a portal at present. */
export interface PortalLeaseRow {
  portal: string;
  process: string;
  lease_until: number;
}

export interface StepRow {
  account_id: string;
  external_id: string;
  name: string;
  kind: StepKind;
  position: number;
  /** JSON of the association. */
  target: string | null;
  state: StepState;
  attempts: number;
  /** For `log` the CRM's id of the call; for `ready` the ETag of the audio that was marked. */
  result: string | null;
  reason: string | null;
  started_at: number | null;
  ended_at: number | null;
}

/** A HubSpot account (a portal) that installed the app. */
export interface InstallationRow {
  portal_id: number;
  /** JSON of the access and the refresh token, sealed by the vault. */
  tokens: string;
  expires_at: number;
  /** Why HubSpot no longer accepts it; null while it does. */
  lost: string | null;
  /** Until then one process renews the tokens. */
  lease_until: number;
  installed_at: number;
}

/** Which installation speaks for an account of the phone system. */
export interface InstalledAccountRow {
  account_id: string;
  portal_id: number;
}
